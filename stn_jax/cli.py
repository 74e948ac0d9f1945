"""What the programs share: errors a person can mend are said in a line, with exit status 2.

Nothing heavy is imported here, so that a signal is answered from the first moment.
"""

import errno
import logging
import sys
from collections.abc import Callable

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


def run(main: Callable[[], int]) -> int:
    """Calls a program and turns its errors into messages.

    Returns:
      The exit status: the program's own; 0 when it was asked to stop and lost nothing; 1 when a
      run broke; 2 for input that a person can mend. Any other exception is a defect and passes.
    """
    # Orbax logs tracebacks of failures that are said here in a line.
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    with StopSignal():
        try:
            return main()
        except Interrupted as signal:
            print(f"stopped by {signal}; the same command goes on from the last checkpoint, if any")
            return 0
        except (ConfigError, DataError, WorkdirError) as error:
            return _say(error, BAD_INPUT)
        except (CheckpointError, CollapseError, NonFiniteError) as error:
            return _say(error, FAILED)
        except OSError as error:
            if error.errno in _NO_ACCESS:
                return _say(error, BAD_INPUT)
            if error.errno in _NO_ROOM:
                return _say(f"the disk is full: {error}. Earlier checkpoints are intact", FAILED)
            raise


def _say(error: object, status: int) -> int:
    print(f"error: {error}", file=sys.stderr)
    return status
