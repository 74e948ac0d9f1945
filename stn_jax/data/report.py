"""What an import made of a folder, for a file and for a person's eyes."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import rich.console
import rich.markup
import rich.table

from stn_jax.data.audit import Pair
from stn_jax.data.duplicates import Verdict
from stn_jax.data.errors import printable, shortened
from stn_jax.data.importer import Imported

_CHANCE = 1e-4
"""Photos of one shape are all of one class by chance more often than this: nothing is said."""


def make_report(
    photos: Sequence[Imported],
    verdict: Verdict,
    *,
    name: str,
    photo_size: tuple[int, int],
    splits: Mapping[str, Mapping[str, int]],
    refused: Mapping[str, str],
    ignored: Sequence[str],
    warnings: Sequence[str],
) -> dict[str, Any]:
    """Says what became of every file; this is what `import_report.json` holds.

    Args:
      photos: all that were read.
      verdict: what was done about duplicates among them.
      name: the folder's, or SYNTHETIC.
      photo_size: height and width that the photos were brought to.
      splits: how many photos of each class each split has.
      refused: file -> reason, for what is no usable photo.
      ignored: files left aside because of their names.
      warnings: about the folder; those about the photos are added.

    Returns:
      The arguments, and `taken` (photos in the three splits together), `dropped` (file -> reason,
      for photos left out because others contradict them) and `duplicates` (pairs of equal or
      nearly equal photos that were kept, in the same split).
    """
    return {
        "name": name,
        "photo_size": list(photo_size),
        "taken": len(photos) - len(verdict.dropped),
        "splits": splits,
        "refused": refused,
        "dropped": {photos[place].entry.file: why for place, why in verdict.dropped.items()},
        "duplicates": [_described(photos, pair) for pair in verdict.kept],
        "ignored": list(ignored),
        "warnings": [*warnings, *_about_size(photos, photo_size), *_about_shapes(photos)],
    }


def print_report(report: Mapping[str, Any], console: rich.console.Console) -> None:
    """Prints a report as a person reads it: counts, then what needs attention."""
    counts = f"{report['taken']} photos taken, {len(report['refused'])} refused"
    if report["dropped"]:
        counts += f", {len(report['dropped'])} contradictory left out"
    console.print(f"{printable(report['name'])}: {counts}", markup=False)
    console.print(_split_table(report["splits"]))
    for title, lines in _sections(report):
        console.print(f"{title}:", markup=False)
        for line in shortened(lines, "more in import_report.json"):
            console.print(f"  {line}", markup=False, soft_wrap=True)


def _sections(report: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    kept = [
        f"{printable(pair['first'])} and {printable(pair['second'])} ({pair['kind']})"
        for pair in report["duplicates"]
    ]
    sections = [
        ("refused", _reasons(report["refused"])),
        ("left out", _reasons(report["dropped"])),
        ("the same photo twice, kept in one split", kept),
        ("ignored", [printable(file) for file in report["ignored"]]),
        ("warnings", report["warnings"]),
    ]
    return [(title, lines) for title, lines in sections if lines]


def _reasons(files: Mapping[str, str]) -> list[str]:
    return [f"{printable(file)}: {printable(why)}" for file, why in files.items()]


def _split_table(splits: Mapping[str, Mapping[str, int]]) -> rich.table.Table:
    table = rich.table.Table()
    table.add_column("split")
    for name in next(iter(splits.values())):
        table.add_column(rich.markup.escape(printable(name)), justify="right")
    table.add_column("photos", justify="right")
    for split, counts in splits.items():
        table.add_row(split, *map(str, counts.values()), str(sum(counts.values())))
    return table


def _described(photos: Sequence[Imported], pair: Pair) -> dict[str, str]:
    first, second = photos[pair.first].entry.file, photos[pair.second].entry.file
    return {"first": first, "second": second, "kind": pair.kind}


def _about_size(photos: Sequence[Imported], photo_size: tuple[int, int]) -> list[str]:
    enlarged = sum(photo.enlarged for photo in photos)
    if not enlarged:
        return []
    return [
        f"{enlarged} of {len(photos)} photos have fewer pixels than {photo_size[0]}x"
        f"{photo_size[1]} and were enlarged: they hold no finer detail for a zoom to find"
    ]


def _about_shapes(photos: Sequence[Imported]) -> list[str]:
    """Says which shapes of photos belong to one class alone, more than chance would have it."""
    of_shape: dict[float, Counter[str]] = defaultdict(Counter)
    for photo in photos:
        shape = round(max(photo.original_size) / min(photo.original_size), 2)
        of_shape[shape][photo.entry.label] += 1
    every = Counter(photo.entry.label for photo in photos)
    found = []
    for shape, here in sorted(of_shape.items()):
        others = every - here
        if len(here) > 1 or not others:
            continue
        [(label, count)] = here.items()
        if (others[label] / others.total()) ** count < _CHANCE:
            found.append(
                f"all {count} photos of the shape {shape:g}:1 are {printable(label)}, of the "
                f"others {others[label]} of {others.total()}: a network can tell them by the shape "
                "(--data.fit crop hides it), or by whatever else their camera leaves on them, and "
                "not by the skin"
            )
    return found
