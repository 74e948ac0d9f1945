"""Directories that are either whole or not there, whoever builds them at once."""

import contextlib
import fcntl
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from stn_jax.data.errors import DataError


def expand(cache_dir: str) -> Path:
    """The folder that `--data.cache-dir` names, in which ~ is the user's home.

    Raises:
      DataError: when nothing tells where that is.
    """
    try:
        return Path(cache_dir).expanduser()
    except RuntimeError as error:
        raise DataError(
            f"--data.cache-dir {cache_dir}: nothing tells where the user's home is; set HOME, or "
            "name another folder"
        ) from error


def obtain(
    directory: Path, *, build: Callable[[Path], None], is_whole: Callable[[Path], bool]
) -> Path:
    """Returns `directory`, after building it where it is absent or damaged.

    Where nothing is to be built, nothing is written: a cache that can only be read will do.
    It is built under another name and renamed when complete, so an interruption leaves nothing
    that could be taken for the result. Of several processes one builds and the others wait.

    Args:
      directory: where the result belongs.
      build: fills the empty directory that it is given.
      is_whole: tells whether an existing directory can be used.
    """

    def is_there() -> bool:
        return directory.is_dir() and is_whole(directory)

    # A whole one never changes, so it needs no lock, which could not be made on a read-only disk.
    if is_there():
        return directory
    directory.parent.mkdir(parents=True, exist_ok=True)
    with _locked(directory.with_name(f"{directory.name}.lock")):
        if is_there():
            return directory
        # Nobody else is at work under the lock: what lies here was left by a killed process.
        partial = directory.with_name(f"{directory.name}.partial")
        for leftover in (partial, directory):
            if leftover.exists():
                shutil.rmtree(leftover)
        partial.mkdir()
        try:
            build(partial)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        partial.rename(directory)
    return directory


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            # The file stays: removing it would let two processes lock two different files.
            fcntl.flock(lock, fcntl.LOCK_UN)
