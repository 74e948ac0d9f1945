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


def hash_files(root: Path, files: Sequence[str], *, index: Path) -> list[str]:
    """SHA-256 of each file, or why it cannot be read.

    Args:
      root: folder of the files.
      files: paths relative to it.
      index: file that keeps hashes with the size and time stamp they belong to; made if absent,
        and of no consequence if damaged, or where it cannot be written.
    """
    known = _read(index)

    def hash_file(file: str) -> tuple[str, list]:
        path = root / file
        try:
            found = path.stat()
            stamp = [found.st_size, found.st_mtime_ns, found.st_ino]
            if known.get(file, [])[:-1] == stamp:
                return file, known[file]
            with path.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").hexdigest()
            settled = time.time() - found.st_mtime > _SETTLED
            return file, [*(stamp if settled else [None] * len(stamp)), digest]
        except OSError as error:
            return file, [f"unreadable: {error.strerror}"]

    with concurrent.futures.ThreadPoolExecutor() as pool:
        hashes = dict(pool.map(hash_file, files))
    if hashes != known:
        _write(index, hashes)
    return [hashes[file][-1] for file in files]


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
