"""Configuration files: Python with a `get_config()`."""

import functools
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stn_jax.config.errors import ConfigError
from stn_jax.config.experiment import Config
from stn_jax.config.file_errors import explained


def load(path: str | Path) -> Config:
    """Calls `get_config()` of the Python file at `path`; see `read_file`."""
    return read_file(path)()


def read_file(path: str | Path) -> Callable[..., Config]:
    """Reads `get_config` from the Python file at `path`.

    Its parameters, if it has any, are options of the command line from which others follow.

    Returns:
      The function, whose own errors are `ConfigError` from then on, with the line in the file.

    Raises:
      ConfigError: when there is no such file, it fails, or it has no `get_config` that returns a
        `Config`.
    """
    path = Path(path)
    if not path.is_file():
        known = ", ".join(known_files())
        raise ConfigError(f"--config {path}: no such file. Known configurations: {known}")
    with explained(path):
        module = _run(path)
    get_config = getattr(module, "get_config", None)
    if not callable(get_config):
        raise ConfigError(f"--config {path}: the file must define get_config() -> stn_jax.Config")

    @functools.wraps(get_config)
    def checked(*args: Any, **options: Any) -> Config:
        with explained(path):
            config = get_config(*args, **options)
        if not isinstance(config, Config):
            raise ConfigError(
                f"--config {path}: get_config() returned {type(config).__name__}, not Config"
            )
        return config

    return checked


def _run(path: Path) -> types.ModuleType:
    # A name that hides no other module; dataclasses and type hints look their own up by it.
    module = types.ModuleType(f"{path.stem} (configuration)")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    # From bytes, Python finds their encoding as for any of its files.
    exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    return module


def known_files() -> list[str]:
    """Lists the configuration files in configs/, as seen from here."""
    return sorted(str(path) for path in Path("configs").glob("[!_]*.py")) or ["none here"]
