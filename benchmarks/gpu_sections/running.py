"""A section in a process of its own: what it finds as it finds it, and how it ended."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from benchmarks.gpu_sections.report import Row

ROOT = Path(__file__).resolve().parents[2]
_OWN_SHARE = 0.95
"""Part of its time after which a section begins nothing new, to end by itself."""


class Running:
    """One section.

    Args:
      name: which one.
      seconds: after which it is killed.
      tiny: small sizes.
      log: for what its programs print.
      platforms: JAX's (`JAX_PLATFORMS`) that must start; None: those that do.

    Attributes:
      status: once the rows are over: `ran`, `cut short`, `cannot run` or `failed`.
      reason: why, for all but the first.
    """

    def __init__(
        self,
        name: str,
        *,
        seconds: float,
        tiny: bool,
        log: TextIO,
        platforms: str | None = None,
    ):
        self._name = name
        self._seconds = seconds
        self._tiny = tiny
        self._log = log
        self._platforms = {} if platforms is None else {"JAX_PLATFORMS": platforms}
        self.status = "running"
        self.reason: str | None = None

    def rows(self) -> Iterator[Row]:
        """Runs the section to its end."""
        print(f"== {self._name}", file=self._log, flush=True)
        rows, ending = [], {}
        with self._process() as process, _killed_after(self._seconds, process) as late:
            for line in process.stdout:
                if not line.endswith("\n"):  # killed while writing it
                    break
                answer = json.loads(line)
                if "row" in answer:
                    rows.append(answer["row"])
                    yield answer["row"]
                else:
                    ending = answer
            code = process.wait()
        if "cannot_run" in ending:
            self.status, self.reason = "cannot run", ending["cannot_run"]
        elif late.is_set():
            self.status, self.reason = "cut short", f"its {self._seconds:.0f} s were over"
        elif "error" in ending or code:
            self.status = "failed"
            self.reason = ending.get("error", f"it ended with status {code}; see gpu.log")
        else:
            self._judge(rows)

    def _judge(self, rows: list[Row]) -> None:
        failed = [f"{row['what']}: {row['failed']}" for row in rows if "failed" in row]
        left_out = [row["what"] for row in rows if "left_out" in row]
        if failed:
            self.status, self.reason = "failed", "; ".join(failed)
        elif left_out:
            self.status, self.reason = "cut short", f"no time for: {'; '.join(left_out)}"
        else:
            self.status = "ran"

    @contextlib.contextmanager
    def _process(self) -> Iterator[subprocess.Popen[str]]:
        """Its process, which does not outlive the block."""
        command = [sys.executable, "-m", "benchmarks.gpu_sections", self._name]
        command += [f"--seconds={_OWN_SHARE * self._seconds:.1f}"]
        command += ["--tiny"] if self._tiny else []
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=_environment() | self._platforms,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            process_group=0,
        )
        try:
            yield process
        finally:
            _kill(process)
            process.communicate()


def _environment() -> dict[str, str]:
    path = os.environ.get("PYTHONPATH")
    # Where a cluster has lent several GPUs, they are named there.
    first, *_ = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")
    return {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": first,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{path}" if path else str(ROOT),
        # What is compiled must not depend on what ran before.
        "JAX_ENABLE_COMPILATION_CACHE": "false",
    }


@contextlib.contextmanager
def _killed_after(seconds: float, process: subprocess.Popen[str]) -> Iterator[threading.Event]:
    """Kills the process when the time is over; the event says whether that was so."""
    late = threading.Event()

    def end() -> None:
        late.set()
        _kill(process)

    timer = threading.Timer(seconds, end)
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()


def _kill(process: subprocess.Popen[str]) -> None:
    """Ends a process and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
