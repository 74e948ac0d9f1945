"""Where photos come from: what `data.source` names, listed and ready to be read."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stn_jax.config import DataConfig
from stn_jax.data import cache, scin
from stn_jax.data.errors import DataError
from stn_jax.data.folder import EXPECTED, SPLITS, Entry, Listing, list_photos
from stn_jax.data.generators import Generator
from stn_jax.data.hashes import hash_files
from stn_jax.data.importer import FileReader, Reader, SyntheticReader
from stn_jax.data.photo import HEIC_SUPPORTED, photo_options

_FORMAT = 2
"""Part of every fingerprint: raise it when the same photos would be stored otherwise."""


@dataclasses.dataclass(frozen=True)
class Source:
    """Photos to import.

    Attributes:
      name: the folder's, or SYNTHETIC.
      listing: which photos there are.
      reader: reads one of them.
      fingerprint: of the photos' contents and of every option that decides what is stored.
      photos_fingerprint: the same without what is stored beside the photos and decides no number.
      generated: made by code, so no photo can be there twice by mistake.
    """

    name: str
    listing: Listing
    reader: Reader
    fingerprint: str
    photos_fingerprint: str
    generated: bool = False


def resolve_source(data: DataConfig) -> DataConfig:
    """Turns `source=auto` into folder (and sets its root) or synthetic.

    Raises:
      DataError: when a folder is asked for that is not there.
    """
    if data.source == "synthetic":
        if data.root is not None:
            raise DataError(
                f"--data.root {data.root}: this configuration generates its photos; add "
                "--data.source folder to use those of the folder"
            )
        return data
    root = data.default_root if data.root is None else data.root
    if data.root is None and data.source == "auto" and not Path(root).is_dir():
        return dataclasses.replace(data, source="synthetic")
    if not Path(root).is_dir():
        expected = {"scin": scin.EXPECTED, "mnist": "expected the four idx files of MNIST"}
        raise DataError(
            f"--data.root {root}: no such folder; {expected.get(data.source, EXPECTED)}"
        )
    source = "folder" if data.source == "auto" else data.source
    return dataclasses.replace(data, source=source, root=root)


def open_source(data: DataConfig) -> Source:
    """Lists the photos of a configuration whose source is resolved.

    Raises:
      DataError: when the folder has no layout that is understood.
    """
    if data.source == "synthetic":
        return _open_synthetic(data)
    root = Path(data.root)
    listing = scin.list_scin(root, data.scin) if data.source == "scin" else list_photos(root)
    return _open_files(data, listing, root)


def _open_files(data: DataConfig, listing: Listing, root: Path) -> Source:
    reader = FileReader(root=str(root), **photo_options(data))
    place = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
    index = cache.expand(data.cache_dir) / f"hashes-{place}.json"
    hashes, unreadable = hash_files(root, [e.file for e in listing.entries], index=index)
    listing = _without_unreadable(listing, unreadable)
    contents = [hashes[entry.file] for entry in listing.entries]
    # Where the folder lies says nothing about its photos.
    placeless = dataclasses.replace(reader, root="")
    return Source(
        name=root.resolve().name,
        listing=listing,
        reader=reader,
        # What could not be read without support for HEIC is to be tried again with it.
        fingerprint=_fingerprint(listing, placeless, [contents, HEIC_SUPPORTED]),
        photos_fingerprint=_fingerprint(_without_metadata(listing), placeless, contents),
    )


def _open_synthetic(data: DataConfig) -> Source:
    made = data.synthetic
    generator = Generator(kind=made.kind, size=tuple(data.photo_size), seed=made.seed)
    counts = (made.train, made.val, made.test)
    names = [split for split, count in zip(SPLITS, counts, strict=True) for _ in range(count)]
    entries = tuple(
        Entry(
            file=f"synthetic-{index:06d}",
            label=generator.classes[index % len(generator.classes)],
            split=split,
            group=f"synthetic-{index:06d}",
            metadata={"index": str(index)},
        )
        for index, split in enumerate(names)
    )
    listing = Listing(entries=entries, classes=generator.classes, refused={}, ignored=())
    reader = SyntheticReader(generator)
    code = generator.code_hash
    return Source(
        name="SYNTHETIC",
        listing=listing,
        reader=reader,
        fingerprint=_fingerprint(listing, reader, code),
        photos_fingerprint=_fingerprint(_without_metadata(listing), reader, code),
        generated=True,
    )


def _without_unreadable(listing: Listing, reasons: Mapping[str, str]) -> Listing:
    """Refuses files here that would otherwise be in the cache as refused, whatever they become."""
    return dataclasses.replace(
        listing,
        entries=tuple(entry for entry in listing.entries if entry.file not in reasons),
        refused={
            **listing.refused,
            **{file: f"cannot be read ({reason})" for file, reason in reasons.items()},
        },
    )


def _without_metadata(listing: Listing) -> Listing:
    entries = tuple(dataclasses.replace(entry, metadata={}) for entry in listing.entries)
    return dataclasses.replace(listing, entries=entries)


def _fingerprint(listing: Listing, reader: Reader, contents: Any) -> str:
    entries = [dataclasses.asdict(entry) for entry in listing.entries]
    parts = [_FORMAT, entries, listing.classes, dataclasses.asdict(reader), contents]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
