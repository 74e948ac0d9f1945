"""What is known so far, on the disk and on the screen."""

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from stn_jax.training.workdir import write_atomically

Row = dict[str, Any]


class Report:
    """A JSON file that is whole after every change, and a line on the screen for each.

    Args:
      path: of the file.
      machine: what is measured on.
      about: what was asked for, and when.
    """

    def __init__(self, path: Path, *, machine: Row, **about: Any):
        self._path = path
        self._sections: dict[str, dict[str, Any]] = {}
        self._started = time.monotonic()
        self._values = {**about, "machine": machine, "sections": self._sections}
        print(_as_line(machine), flush=True)

    @property
    def complete(self) -> bool:
        """Whether every section ran, from its beginning to its end."""
        return all(section["status"] == "ran" for section in self._sections.values())

    def wait_for(self, names: Iterable[str]) -> None:
        """Names what is to come, so that a report that was cut off says what it lacks."""
        self._sections.update({name: {"status": "waiting"} for name in names})
        self._write()

    def leave_out(self, name: str, reason: str) -> None:
        """Notes that there is no time for a section."""
        print(f"{name}: left out: {reason}", flush=True)
        self._change(name, status="left out", reason=reason)

    def start(self, name: str, seconds: float) -> None:
        """Notes that a section has begun, and how long it may take."""
        print(f"{name} (at most {seconds:.0f} s)", flush=True)
        self._started = time.monotonic()
        self._change(name, status="running", seconds_allowed=round(seconds, 1), results=[])

    def add(self, name: str, row: Row) -> None:
        """Notes something that a section has found."""
        print(f"  {_as_line(row)}", flush=True)
        self._change(name, results=[*self._sections[name]["results"], row])

    def finish(self, name: str, status: str, reason: str | None) -> None:
        """Notes how a section ended, and why where it did not run to its end."""
        ending = {"status": status, "seconds": round(time.monotonic() - self._started, 1)}
        if reason is not None:
            print(f"  {status}: {reason}", flush=True)
            ending["reason"] = reason
        self._change(name, **ending)

    def _change(self, name: str, **values: Any) -> None:
        self._sections[name].update(values)
        self._write()

    def _write(self) -> None:
        write_atomically(self._path, json.dumps(self._values, indent=2) + "\n")


def _as_line(row: Row) -> str:
    cells = []
    for name, value in row.items():
        if name != "what":
            number = f"{value:.4g}" if isinstance(value, float) else value
            cells.append(f"{name.replace('_', ' ')} {number}")
    return f"{row['what']}: {', '.join(cells)}"
