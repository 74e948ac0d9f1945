"""Answers one question of benchmarks/gpu.py: a JSON object a line on the standard output.

python -m benchmarks.gpu_sections step --seconds 60 [--tiny]
"""

import argparse
import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from benchmarks.gpu_sections.report import Row
from benchmarks.gpu_sections.scale import FULL, TINY

Task = tuple[str, Callable[[], Row]]
"""What is asked, and a function that finds it."""


def answer(tasks: Iterable[Task], time_left: Callable[[], float]) -> Iterator[Row]:
    """Does the tasks for which there is time; one that fails does not stop the others.

    A task is begun while as much time is left as the longest before it took.
    """
    longest = 0.0
    for what, task in tasks:
        before = time_left()
        if before < longest:
            reason = f"the one before took {longest:.0f} s, and {max(before, 0):.0f} s are left"
            yield {"what": what, "left_out": reason}
            continue
        try:
            row = task()
        except Exception as error:  # whatever a contestant dies of, the others go on
            traceback.print_exc()
            row = {"failed": _in_a_line(error)}
        yield {"what": what, **row}
        longest = max(longest, before - time_left())


def _in_a_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:300]}"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("section")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    until = time.monotonic() + options.seconds

    # Only answers may reach the parent; what programs print, compilers too, goes to the log.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(values: dict[str, Any]) -> None:
        print(json.dumps(values), file=answers, flush=True)

    def time_left() -> float:
        return until - time.monotonic()

    try:
        section = importlib.import_module(f"benchmarks.gpu_sections.{options.section}")
        tasks = section.tasks(TINY if options.tiny else FULL, time_left)
        for row in answer(tasks, time_left):
            say({"row": row})
    except ModuleNotFoundError as error:
        say({"cannot_run": f"{error.name} is not installed"})
        return 1
    except Exception as error:
        traceback.print_exc()
        say({"error": _in_a_line(error)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
