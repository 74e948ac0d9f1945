"""A folder of photos: which files are there, and what their place or a table says of them.

Three layouts are understood:

    ROOT/class/...photo                    splits are made later
    ROOT/train|val|test/class/...photo     splits are given
    ROOT/photos.csv                        columns file, label; optional split, group, any other
"""

import csv
import dataclasses
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from stn_jax.data.errors import DataError

SPLITS = ("train", "val", "test")
TABLE = "photos.csv"
EXPECTED = (
    "expected one sub-folder for each class with photos in it (ROOT/psoriasis/a.jpg), or train/, "
    f"val/ and test/ with such sub-folders, or a table {TABLE} with columns file and label"
)
# Files that people and programs leave beside photos. Everything else in a class folder is taken
# for a photo and, if it is none, reported as refused.
_DOCUMENTS = {".doc", ".docx", ".log", ".md", ".pdf", ".txt"}
_TABLES = {".csv", ".db", ".npy", ".npz", ".tsv", ".xls", ".xlsx"}
_SETTINGS = {".ini", ".json", ".xml", ".xmp", ".yaml", ".yml"}
SIDECARS = _DOCUMENTS | _TABLES | _SETTINGS


@dataclasses.dataclass(frozen=True)
class Entry:
    """One photo to import.

    Attributes:
      file: path relative to the root, with forward slashes; its name in reports and predictions.
      label: name of its class.
      split: train, val or test where the layout says so, else "".
      group: patient or case; "" where unknown. Photos of one group stay in one split.
      metadata: anything else known about it.
    """

    file: str
    label: str
    split: str = ""
    group: str = ""
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Listing:
    """What a folder holds.

    Attributes:
      entries: photos to import, sorted by file.
      classes: sorted names.
      refused: file -> reason, for files that are not even opened.
      ignored: files left aside because their names say that they are no photos.
      warnings: sentences for the report.
    """

    entries: tuple[Entry, ...]
    classes: tuple[str, ...]
    refused: Mapping[str, str]
    ignored: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def list_photos(root: str | os.PathLike) -> Listing:
    """Lists the photos under `root` in whichever of the three layouts it has.

    Raises:
      DataError: when the folder is absent, empty, or of no known layout.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"--data.root {root}: no such folder; {EXPECTED}")
    if (root / TABLE).is_file():
        return _list_table(root)
    folders = _subfolders(root)
    if not folders:
        raise DataError(f"--data.root {root}: no sub-folders in it; {EXPECTED}")
    given = [folder.name for folder in folders if folder.name in SPLITS]
    others = [folder.name for folder in folders if folder.name not in SPLITS]
    if not given:
        return _list_classes(root, [(folder, "") for folder in folders])
    if others or "train" not in given:
        raise DataError(
            f"--data.root {root}: has {', '.join(given)} beside {', '.join(others) or 'nothing'}; "
            "a folder with splits needs train/ and holds nothing but train/, val/ and test/"
        )
    pairs = [(folder, split) for split in given for folder in _subfolders(root / split)]
    if not pairs:
        raise DataError(f"--data.root {root}: no class folders under train/; {EXPECTED}")
    return _list_classes(root, pairs)


def _list_classes(root: Path, folders: list[tuple[Path, str]]) -> Listing:
    entries, refused, ignored = [], {}, []
    for folder, split in folders:
        found = 0
        for path in _walk(folder):
            file = path.relative_to(root).as_posix()
            reason = why_not(path, root)
            if path.suffix.lower() in SIDECARS:
                ignored.append(file)
            elif reason:
                refused[file] = reason
            else:
                entries.append(Entry(file=file, label=folder.name, split=split))
                found += 1
        if not found:
            raise DataError(
                f"{folder}: no photos in this class folder; add some, or remove the folder"
            )
    return _listing(entries, refused, ignored)


def _list_table(root: Path) -> Listing:
    entries, refused = {}, {}
    for line, row in _rows(root / TABLE):
        entry = _entry(row, f"{TABLE} line {line}")
        earlier = entries.get(entry.file)
        if earlier and earlier.label != entry.label:
            raise DataError(
                f"{TABLE} line {line}: {entry.file} is {entry.label} here and {earlier.label} above"
            )
        path = root / entry.file
        reason = why_not(path, root)
        if reason or not path.exists():
            refused[entry.file] = reason or f"no such file ({TABLE} line {line})"
        else:
            entries.setdefault(entry.file, entry)
    return _listing(list(entries.values()), refused, [])


def _rows(table: Path) -> Iterator[tuple[int, dict[str, str]]]:
    with table.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.DictReader(lines, restval="")
        missing = {"file", "label"} - set(reader.fieldnames or ())
        if missing:
            raise DataError(f"{table}: no column {' and '.join(sorted(missing))}")
        for row in reader:
            yield reader.line_num, {name: (row[name] or "").strip() for name in reader.fieldnames}


def _entry(row: dict[str, str], where: str) -> Entry:
    known = {name: row.pop(name, "") for name in ("file", "label", "split", "group")}
    if not known["file"] or not known["label"]:
        raise DataError(f"{where}: file and label must both be given")
    if known["split"] not in ("", *SPLITS):
        raise DataError(f"{where}: split {known['split']!r} must be train, val, test or empty")
    return Entry(**known, metadata=row)


def _listing(entries: list[Entry], refused: dict[str, str], ignored: list[str]) -> Listing:
    return Listing(
        entries=tuple(sorted(entries, key=lambda entry: entry.file)),
        classes=tuple(sorted({entry.label for entry in entries})),
        refused=refused,
        ignored=tuple(sorted(ignored)),
    )


def _subfolders(root: Path) -> list[Path]:
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name == "Thumbs.db":
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)
        else:
            yield path


def why_not(path: Path, root: Path) -> str:
    """Why a file must not be opened: it leads out of the root, or has an impossible name."""
    try:
        path.name.encode()
    except UnicodeEncodeError:
        return "its name is not valid UTF-8: rename it"
    if not path.resolve().is_relative_to(root.resolve()):
        return "leads out of the folder"
    return ""
