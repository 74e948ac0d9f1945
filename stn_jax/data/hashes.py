"""Hashes of many files, of which only those that changed are read again.

A folder of phone photos is tens of gigabytes; to read it all at every start of a run would take
minutes.
"""

import concurrent.futures
import contextlib
import hashlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

_SETTLED = 2.0
"""Seconds a file must have lain unchanged for its time stamp to tell the next change."""


def hash_files(
    root: Path, files: Sequence[str], *, index: Path
) -> tuple[dict[str, str], dict[str, str]]:
    """SHA-256 of the files.

    Args:
      root: folder of the files.
      files: paths relative to it.
      index: file that keeps hashes with the size and time stamp they belong to; made if absent,
        and of no consequence if damaged, or where it cannot be written.

    Returns:
      file -> hash, in hexadecimal; and, of those that cannot be read, file -> why.
    """
    known = _read(index)

    def hash_file(file: str) -> list | OSError:
        path = root / file
        try:
            found = path.stat()
            stamp = [found.st_size, found.st_mtime_ns, found.st_ino]
            if known.get(file, [])[:-1] == stamp:
                return known[file]
            with path.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").hexdigest()
            settled = time.time() - found.st_mtime > _SETTLED
            return [*(stamp if settled else [None] * len(stamp)), digest]
        except OSError as error:
            return error

    with concurrent.futures.ThreadPoolExecutor() as pool:
        found = dict(zip(files, pool.map(hash_file, files), strict=True))
    hashes = {file: row for file, row in found.items() if isinstance(row, list)}
    if hashes != known:
        _write(index, hashes)
    return (
        {file: row[-1] for file, row in hashes.items()},
        {file: str(row.strerror) for file, row in found.items() if isinstance(row, OSError)},
    )


def _read(index: Path) -> dict[str, list]:
    try:
        rows = json.loads(index.read_text())
        return {file: row for file, row in rows.items() if isinstance(row, list) and row}
    except (OSError, ValueError, AttributeError):
        return {}


def _write(index: Path, hashes: dict[str, list]) -> None:
    temporary = index.with_name(f"{index.name}.{os.getpid()}")
    try:
        index.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(hashes))
        temporary.replace(index)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
