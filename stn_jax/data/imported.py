"""What is known of the photos of an import, kept beside their pixels."""

import dataclasses
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from stn_jax.data.audit import Print
from stn_jax.data.folder import Entry
from stn_jax.data.importer import Imported

_TEXT, _ARRAYS = "imported.json", "prints.npz"
_VERSION = 1
"""Raise it when more is kept: imports of another version are made again, as the same data set."""


def save(directory: Path, photos: Sequence[Imported], refused: Mapping[str, str]) -> None:
    """Writes what is known of the photos, and the size of every other file in `directory`."""
    np.savez(
        directory / _ARRAYS,
        bits=np.array([p.print.bits for p in photos]),
        thumbnail=np.array([p.print.thumbnail for p in photos]),
        color_sum=np.array([p.color_sum for p in photos]),
        pixel_count=np.array([p.pixel_count for p in photos]),
        enlarged=np.array([p.enlarged for p in photos]),
        original_size=np.array([p.original_size for p in photos]),
    )
    sizes = {
        path.relative_to(directory).as_posix(): path.stat().st_size
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
    text = {
        "version": _VERSION,
        "photos": [{"entry": dataclasses.asdict(p.entry), "label": p.label} for p in photos],
        "refused": dict(refused),
        "sizes": sizes,
    }
    (directory / _TEXT).write_text(json.dumps(text))


def load(directory: Path) -> tuple[list[Imported], dict[str, str]]:
    """Reads what `save` wrote: the photos in the order of their records, and the refusals."""
    text = json.loads((directory / _TEXT).read_text())
    with np.load(directory / _ARRAYS) as arrays:
        columns = {name: arrays[name] for name in arrays.files}
    photos = [
        Imported(
            entry=Entry(**photo["entry"]),
            label=photo["label"],
            print=Print(bits=columns["bits"][index], thumbnail=columns["thumbnail"][index]),
            color_sum=tuple(columns["color_sum"][index].tolist()),
            pixel_count=int(columns["pixel_count"][index]),
            enlarged=bool(columns["enlarged"][index]),
            original_size=tuple(columns["original_size"][index].tolist()),
        )
        for index, photo in enumerate(text["photos"])
    ]
    return photos, text["refused"]


def is_whole(directory: Path) -> bool:
    """Tells whether all that `save` writes, and every file that it saw, is there in full length."""
    try:
        text = json.loads((directory / _TEXT).read_text())
        sizes = text["sizes"]
        return (
            text["version"] == _VERSION
            # Whose size earlier versions did not note.
            and zipfile.is_zipfile(directory / _ARRAYS)
            and all((directory / file).stat().st_size == size for file, size in sizes.items())
        )
    except (OSError, ValueError, KeyError):
        return False
