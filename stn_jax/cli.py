"""What the programs share: errors a person can mend are said in a line, with exit status 2."""

import sys
from collections.abc import Callable

from stn_jax.config import ConfigError
from stn_jax.data.builder import DataError
from stn_jax.data.photo import PhotoError
from stn_jax.training.checkpoint import CheckpointError
from stn_jax.training.guards import NonFiniteError
from stn_jax.training.interrupts import Interrupted
from stn_jax.training.workdir import WorkdirError

BAD_INPUT = 2
FAILED = 1


def run(main: Callable[[], int]) -> int:
    """Calls a program and turns its errors into messages.

    Returns:
      The exit status: the program's own; 0 when it was asked to stop and lost nothing; 1 when a
      run broke; 2 for input that a person can mend. Any other exception is a defect and passes.
    """
    try:
        return main()
    except Interrupted as error:
        print(f"stopped by {error} with nothing to save; the same command starts again")
        return 0
    except (ConfigError, DataError, PhotoError, WorkdirError) as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except (CheckpointError, NonFiniteError) as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
