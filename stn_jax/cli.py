"""What the programs share: errors a person can mend are said in a line, with exit status 2.

Nothing heavy is imported here, so that a signal is answered from the first moment.
"""

import contextlib
import errno
import io
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import NoReturn

from stn_jax.config import ConfigError
from stn_jax.data.errors import DataError
from stn_jax.training.errors import (
    CheckpointError,
    CollapseError,
    Interrupted,
    NonFiniteError,
    WorkdirError,
)
from stn_jax.training.interrupts import StopSignal

BAD_INPUT = 2
FAILED = 1

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_ACCESS = (errno.EACCES, errno.EPERM, errno.EROFS)
_NO_SUCH_PLACE = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)


def run(main: Callable[[], int], *, resumes: bool = False) -> int:
    """Calls a program and turns its errors into messages.

    Asked to stop where nothing is saved, the process ends here: with status 0 if it `resumes`,
    otherwise from the signal, so that nothing takes half an answer for the whole.

    Args:
      main: the program; returns its exit status.
      resumes: the same command goes on where it was stopped.

    Returns:
      The exit status: the program's own; 1 when a run broke, or nobody reads the output any more;
      2 for input that a person can mend. Any other exception is a defect and passes.
    """
    # Orbax, and what it calls, log tracebacks of failures that are said here in a line.
    for name in ("absl", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names may have letters that the encoding of the output lacks.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with _without_aftermath(), StopSignal():
            return _status(main, resumes=resumes)
    except Interrupted as stop:
        # It came while signals only began, or already ceased, to be caught.
        _end(stop, resumes=resumes)


@contextlib.contextmanager
def _without_aftermath() -> Iterator[None]:
    """Leaves unsaid that writes still under way, when a save was given up, found no event loop."""
    hook = sys.unraisablehook

    def say_others(dropped: "sys.UnraisableHookArgs") -> None:
        if str(dropped.exc_value) != "Event loop is closed":
            hook(dropped)

    sys.unraisablehook = say_others
    try:
        yield
    finally:
        sys.unraisablehook = hook


def _status(main: Callable[[], int], *, resumes: bool) -> int:
    try:
        return main()
    except Interrupted as stop:
        _end(stop, resumes=resumes)
    except (ConfigError, DataError, WorkdirError) as error:
        return _say(error, BAD_INPUT)
    except (CheckpointError, CollapseError, NonFiniteError) as error:
        return _say(error, FAILED)
    except BrokenPipeError:
        # What is still to be written when the interpreter ends has no reader, either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        if error.errno in _NO_ACCESS + _NO_SUCH_PLACE:
            return _say(error, BAD_INPUT)
        if error.errno in _NO_ROOM:
            return _say(f"the disk is full: {error}. Earlier checkpoints are intact", FAILED)
        raise


def _end(stop: Interrupted, *, resumes: bool) -> NoReturn:
    """Ends the process at once: interrupted while it compiled, the interpreter could crash."""
    hint = "; the same command goes on from the last checkpoint, if any" if resumes else ""
    print(f"stopped by {stop}{hint}", file=sys.stderr, flush=True)
    sys.stdout.flush()
    if not resumes:
        number = signal.Signals[str(stop)]
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
    os._exit(0)


def _say(error: object, status: int) -> int:
    print(f"error: {error}", file=sys.stderr)
    return status
