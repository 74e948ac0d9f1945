"""What goes wrong in a configuration file, told in a line."""

import contextlib
import traceback
from collections.abc import Iterator
from pathlib import Path

from stn_jax.config.errors import ConfigError


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns what goes wrong in a configuration file into a line about it."""
    try:
        yield
    except Exception as error:  # the file is the user's: anything can come out of it
        raise ConfigError(f"--config {path}{_line_of(error, path)}: {_one_line(error)}") from error


def _line_of(error: Exception, path: Path) -> str:
    """The last line of the file that the error passed through, as `, line 7`."""
    if isinstance(error, SyntaxError):
        return f", line {error.lineno}" if error.lineno else ""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    return f", line {lines[-1]}" if lines else ""


def _one_line(error: Exception) -> str:
    if isinstance(error, ConfigError):
        return str(error)
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {message}"
