"""A folder of photos: which files are there, and what their place or a table says of them.

Three layouts are understood:

    ROOT/class/...photo                    splits are made later
    ROOT/train|val|test/class/...photo     splits are given
    ROOT/photos.csv                        columns file, label; optional split, group, any other
"""

import contextlib
import csv
import dataclasses
import os
import posixpath
import re
import textwrap
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from stn_jax.data.errors import DataError, printable

SPLITS = ("train", "val", "test")
_LIKE_SPLITS = {*SPLITS, "training", "valid", "validation", "testing"}
_LIKE_GROUP = {"case", "caseid", "patient", "patientid", "subject", "subjectid"}
"""Names of columns, in small letters without what separates words."""
_COLUMNS = ("file", "label", "split", "group")
TABLE = "photos.csv"
_SEPARATORS = ",;\t"
_NAMED_SEPARATOR = re.compile(r'"?sep=([,;\t|])"?', re.IGNORECASE)
"""A first line that tells Excel what separates the columns of the lines below."""
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(e[+-]?\d+)?", re.IGNORECASE)
EXPECTED = (
    "expected one sub-folder for each class with photos in it (ROOT/psoriasis/a.jpg), or train/, "
    f"val/ and test/ with such sub-folders, or a table {TABLE} with columns file and label"
)
# Files that people and programs leave beside photos. Everything else is taken for a photo and, if
# it is none, reported as refused.
_DOCUMENTS = {".doc", ".docx", ".log", ".md", ".pdf", ".txt"}
_TABLES = {".csv", ".db", ".npy", ".npz", ".tsv", ".xls", ".xlsx"}
_SETTINGS = {".ini", ".json", ".xml", ".xmp", ".yaml", ".yml"}
_SIDECARS = _DOCUMENTS | _TABLES | _SETTINGS


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
      classes: sorted names, also of classes whose photos were all refused.
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
      DataError: when the folder is absent, empty, unreadable, of no known layout, or has fewer than
        two classes, or one under two spellings.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"--data.root {root}: no such folder; {EXPECTED}")
    with explained():
        listing = _list_table(root) if _has_table(root) else _list_folders(root)
    if len(listing.classes) < 2:
        raise DataError(
            f"--data.root {root}: only one class, {listing.classes[0]}; a classifier needs two or "
            f"more: {EXPECTED}"
        )
    for names in _spellings(listing.classes).values():
        if len(names) > 1:
            raise DataError(
                f"--data.root {root}: the classes {_told_apart(names)} are one name in several "
                "spellings: merge them, or rename one"
            )
    return listing


def find_photos(folder: str | os.PathLike) -> list[str]:
    """Files in a folder and the folders in it, sorted, but hidden ones and those beside photos.

    Raises:
      DataError: when a folder may not be read.
    """
    with explained():
        return [
            str(path) for path in _walk(Path(folder)) if path.is_file() and not _is_sidecar(path)
        ]


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Names the file or folder that the system does not let us read, as a `DataError`."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read ({error.strerror})") from error


def _spellings(names: Iterable[str]) -> dict[str, list[str]]:
    """Names that a person takes for one, sorted, by what they share.

    Neither case counts nor how Unicode spells a letter: an é may be one character or two.
    """
    found: dict[str, list[str]] = {}
    for name in sorted(set(names)):
        found.setdefault(_key(name), []).append(name)
    return found


def _key(name: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def _told_apart(names: list[str]) -> str:
    """The names, with their characters' numbers where they look the same."""
    look_alike = len({unicodedata.normalize("NFC", name) for name in names}) < len(names)
    return " and ".join(ascii(name) if look_alike else printable(name) for name in names)


def _has_table(root: Path) -> bool:
    if (root / TABLE).is_file():
        return True
    for path in _files(root):
        if path.name.casefold() == TABLE:
            # Without it, the groups that it gives would be taken apart.
            raise DataError(
                f"--data.root {root}: rename {path.name} to {TABLE}, to be read, or move it out of "
                "this folder"
            )
    return False


def _is_table(path: Path, root: Path) -> bool:
    """Whether a file is the table of the folder: where case does not count, as Photos.csv, too."""
    return path.name.casefold() == TABLE and path.exists() and path.samefile(root / TABLE)


def _list_folders(root: Path) -> Listing:
    folders = _subfolders(root)
    if not folders:
        raise DataError(f"--data.root {root}: no sub-folders in it; {EXPECTED}")
    names = [folder.name for folder in folders]
    if {name.casefold() for name in names} <= _LIKE_SPLITS and not set(names) <= set(SPLITS):
        raise DataError(
            f"--data.root {root}: {', '.join(names)} seem to be splits, not classes: rename them "
            "train, val and test"
        )
    given = [folder.name for folder in folders if folder.name in SPLITS]
    others = [folder.name for folder in folders if folder.name not in SPLITS]
    if not given:
        return _list_classes(root, {"": root})
    if others or "train" not in given:
        raise DataError(
            f"--data.root {root}: has {', '.join(given)} beside {', '.join(others) or 'nothing'}; "
            "a folder with splits needs train/ and holds nothing but train/, val/ and test/"
        )
    return _list_classes(root, {split: root / split for split in given})


def _list_classes(root: Path, parents: Mapping[str, Path]) -> Listing:
    entries, refused, ignored, strays = [], {}, [], []
    for split, parent in parents.items():
        strays += [p.relative_to(root).as_posix() for p in _files(parent)]
        for folder in _subfolders(parent):
            found = _list_class(root, folder, split)
            entries += found.entries
            refused |= found.refused
            ignored += found.ignored
    if not entries:
        raise DataError(f"--data.root {root}: no class folders in it; {EXPECTED}")
    return Listing(
        entries=tuple(sorted(entries, key=lambda entry: entry.file)),
        classes=tuple(sorted({entry.label for entry in entries})),
        refused=refused,
        ignored=tuple(sorted(ignored + strays)),
        warnings=_warnings((strays, "files outside the class folders")),
    )


def _list_class(root: Path, folder: Path, split: str) -> Listing:
    entries, refused, ignored = [], {}, []
    for path in _walk(folder):
        file = path.relative_to(root).as_posix()
        if _is_sidecar(path):
            ignored.append(file)
        elif reason := why_not(path, root):
            refused[file] = reason
        else:
            entries.append(Entry(file=file, label=folder.name, split=split))
    if not entries:
        reasons = "".join(f" ({printable(file)}: {why})" for file, why in [*refused.items()][:1])
        raise DataError(
            f"{printable(str(folder))}: no photos in this class folder{reasons}; add some, or "
            "remove the folder"
        )
    return Listing(tuple(entries), (folder.name,), refused, tuple(ignored))


def _list_table(root: Path) -> Listing:
    entries, refused, labels, repeated = {}, {}, set(), []
    rows = list(read_rows(root / TABLE, ("file", "label")))
    if not rows:
        raise DataError(f"{root / TABLE}: no rows; {EXPECTED}")
    groups = _spellings(row.get("group", "") for _, row in rows)
    for line, row in rows:
        entry = _entry(row, f"{TABLE} line {line}")
        # Of one patient under two spellings, photos could end up in training and in the test.
        group, file = groups[_key(entry.group)][0], _as_on_disk(root, entry.file)
        entry = dataclasses.replace(entry, group=group, file=file)
        labels.add(entry.label)
        if entry.file in entries:
            _check_repeated(entry, entries[entry.file], line)
            repeated.append(entry.file)
        elif reason := _why_not_listed(root, entry.file, line):
            refused[entry.file] = reason
        else:
            entries[entry.file] = entry
    files = [p.relative_to(root).as_posix() for p in _walk(root) if not _is_table(p, root)]
    unlisted = [file for file in files if file not in entries and file not in refused]
    return Listing(
        entries=tuple(sorted(entries.values(), key=lambda entry: entry.file)),
        classes=tuple(sorted(labels)),
        refused=refused,
        ignored=tuple(unlisted),
        warnings=(
            *_warnings(
                (repeated, f"rows of {TABLE} that repeat an earlier one"),
                (unlisted, f"files that are not in {TABLE} and were ignored"),
            ),
            *_about_groups(rows[0][1], groups),
        ),
    )


def _as_on_disk(root: Path, file: str) -> str:
    """The file's path as the folder spells it: macOS writes an é in two characters, tables in one.

    A path that leads to no file in any spelling comes back as it is.
    """
    spellings = [file, *(unicodedata.normalize(form, file) for form in ("NFC", "NFD"))]
    return next((each for each in spellings if os.path.lexists(root / each)), file)


def _check_repeated(entry: Entry, earlier: Entry, line: int) -> None:
    """Refuses a row that says something else of a photo than an earlier one."""
    where = f"{TABLE} line {line}: {printable(entry.file)}"
    if earlier.label != entry.label:
        raise DataError(f"{where} is {entry.label} here and {earlier.label} above")
    if (earlier.split, earlier.group) != (entry.split, entry.group):
        raise DataError(f"{where} has another split or group than above")


def _why_not_listed(root: Path, file: str, line: int) -> str:
    """Why a file that a table names must not be opened, or ""."""
    path = root / file
    if not os.path.lexists(path):
        hint = "; separate folders by /" if "\\" in file else ""
        return f"no such file ({TABLE} line {line}){hint}"
    if reason := why_not(path, root):
        return reason
    return "its path must be relative to the folder" if posixpath.isabs(file) else ""


def _about_groups(row: Mapping[str, str], groups: Mapping[str, list[str]]) -> Iterator[str]:
    """Warns of a column that seems to be meant for groups, and of groups in several spellings."""
    for name in row:
        if "group" not in row and re.sub(r"[\W_]", "", name.casefold()) in _LIKE_GROUP:
            yield (
                f"column {printable(name)} keeps no patient's photos in one split: name it group "
                "if it should"
            )
    for names in groups.values():
        if len(names) > 1:
            yield f"the groups {_told_apart(names)} count as one"


def _warnings(*found: tuple[list[str], str]) -> tuple[str, ...]:
    return tuple(
        f"{what}: {len(files)}, such as {printable(files[0])}" for files, what in found if files
    )


def read_rows(table: Path, columns: Collection[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Reads a CSV file with a header: the line on which each row ends, and its cells by column.

    Spaces around a column's name do not count, nor does the case of those that have a meaning.
    Spreadsheets write semicolons where the comma is the decimal mark: there a cell 2,5 is read as
    2.5, but for columns that have a meaning. A column without a name is left out: pandas writes
    the numbers of rows into one. So are rows without any text, which spreadsheets write of cells
    that were emptied.

    Args:
      table: UTF-8, separated by commas or, where the header is so, by semicolons or tabs, or by
        what a line sep=; above the header names.
      columns: those that must be there.

    Raises:
      DataError: when one is missing, the file is no such table, or quotation marks are left out
        or open, so that cells would count in another column, or rows as a part of a cell.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as lines:
            separator, above = _go_to_header(lines, columns)
            reader = csv.DictReader(lines, restval="", delimiter=separator, strict=True)
            with _quotes_explained(reader, above, table):
                names = [_column(name, columns) for name in reader.fieldnames or ()]
                reader.fieldnames = names
                _check_header(table, names, columns)
                for line, row in _numbered(reader, above, table):
                    cells = {name: row[name].strip() for name in names if name}
                    if separator == ";":
                        cells |= _with_points(cells, {*_COLUMNS, *columns})
                    if any(cells.values()):
                        yield line, cells
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table}: not a table in UTF-8 ({error}); save it as CSV UTF-8") from error


def _check_header(table: Path, names: list[str], columns: Collection[str]) -> None:
    missing = sorted(set(columns) - set(names))
    if missing:
        raise DataError(
            f"{table}: no column {' and '.join(missing)} in its header, "
            f"{printable(textwrap.shorten(', '.join(names), 200)) or 'which is empty'}; "
            "commas, semicolons or tabs separate columns"
        )
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise DataError(
            f"{table}: more than one column {' and '.join(twice)}: rename or remove the others"
        )


def _numbered(
    reader: csv.DictReader, above: int, table: Path
) -> Iterator[tuple[int, dict[str | None, Any]]]:
    """The rows, and the line on which each ends, unless cells have slid into other columns."""
    for row in reader:
        line = above + reader.reader.line_num  # which blank lines do not put behind
        if any(map(str.strip, row.get(None, ()))):
            raise DataError(
                f"{table} line {line}: more cells than the header has columns: put quotation "
                'marks around a text with a separator in it, "arm, left"'
            )
        yield line, row


@contextlib.contextmanager
def _quotes_explained(reader: csv.DictReader, above: int, table: Path) -> Iterator[None]:
    """Says on which line what begins with a quotation mark does not end with one."""
    try:
        yield
    except csv.Error as error:
        raise DataError(
            f"{table} line {above + reader.reader.line_num}: a quotation mark begins a cell, here "
            f"or above, that does not end with one ({error}): correct or remove it, and write one "
            'inside such a cell twice, ""'
        ) from error


def _go_to_header(lines: TextIO, columns: Collection[str]) -> tuple[str, int]:
    """What separates the header's columns, and how many lines stand above it."""
    first = lines.readline()
    if named := _NAMED_SEPARATOR.fullmatch(first.rstrip("\r\n")):
        return named[1], 1
    lines.seek(0)
    return _separator(first, columns), 0


def _separator(header: str, columns: Collection[str]) -> str:
    """What gives the header all the columns that must be there; a comma where nothing does."""
    for separator in _SEPARATORS:
        names = next(csv.reader([header], delimiter=separator), [])
        if set(columns) <= {_column(name, columns) for name in names}:
            return separator
    return _SEPARATORS[0]


def _with_points(cells: Mapping[str, str], but: Collection[str]) -> dict[str, str]:
    """Numbers with a decimal comma, written with a point, but for those of some columns."""
    return {
        name: cell.replace(",", ".")
        for name, cell in cells.items()
        if name not in but and _DECIMAL_COMMA.fullmatch(cell)
    }


def _column(name: str, columns: Collection[str]) -> str:
    name = name.strip()
    meant = {each.casefold(): each for each in (*_COLUMNS, *columns)}
    return meant.get(name.casefold(), name)


def _entry(row: dict[str, str], where: str) -> Entry:
    known = {name: row.get(name, "") for name in _COLUMNS}
    if not known["file"] or not known["label"]:
        raise DataError(f"{where}: file and label must both be given")
    if known["split"] not in ("", *SPLITS):
        raise DataError(f"{where}: split {known['split']!r} must be train, val, test or empty")
    known["file"] = posixpath.normpath(known["file"])  # ./a.jpg is a.jpg
    return Entry(**known, metadata={name: row[name] for name in row if name not in _COLUMNS})


def _subfolders(root: Path) -> list[Path]:
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.is_file() and not _is_clutter(path)]


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if _is_clutter(path):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)
        else:
            yield path


def _is_sidecar(path: Path) -> bool:
    return path.suffix.lower() in _SIDECARS


def _is_clutter(path: Path) -> bool:
    return path.name.startswith(".") or path.name == "Thumbs.db"


def why_not(path: Path, root: Path) -> str:
    """Why a file must not be opened, or "": where it leads, what it is, or its name."""
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        return "its name is not valid UTF-8: rename it"
    # Not Path.resolve, which raises where links go round in a circle.
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
        return "leads out of the folder"
    if path.is_symlink() and not path.exists():
        return "leads nowhere"
    if not path.is_file():
        return "not a file"
    return ""
