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
from typing import Any

from benchmarks.gpu_sections.scale import FULL, TINY
from benchmarks.gpu_sections.tasks import CannotRunError, answer, in_a_line


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
    except CannotRunError as error:
        say({"cannot_run": str(error)})
        return 1
    except Exception as error:
        traceback.print_exc()
        say({"error": in_a_line(error)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
