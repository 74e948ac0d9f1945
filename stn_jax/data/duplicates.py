"""What follows from a photo being there twice.

Copies within a class stay together, so that none is trained on and tested on. Copies that
contradict each other, in two classes or in two given splits, stop the import or are left out.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph

from stn_jax.data.audit import Pair
from stn_jax.data.errors import DataError, printable, shortened
from stn_jax.data.folder import SPLITS
from stn_jax.data.importer import Imported

_LOOKS = {"exact": "is the same photo as", "near": "looks the same as"}


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What is done about duplicates.

    Attributes:
      units: of every photo, the name of what must stay in one split: its patient or case, and all
        copies of its photos.
      dropped: place of a photo that is left out -> why.
      kept: pairs that stay, together.
    """

    units: list[str]
    dropped: dict[int, str]
    kept: list[Pair]


def judge(photos: Sequence[Imported], pairs: Sequence[Pair], *, drop: bool) -> Verdict:
    """Decides which photos are left out and which must stay together.

    Args:
      photos: all that were taken.
      pairs: which of them are equal or look it.
      drop: leave contradictory photos out instead of raising: both of a pair with two labels; of a
        pair in two given splits the one that is further from the test.

    Raises:
      DataError: listing the pairs that contradict each other.
    """
    dropped, conflicts = {}, []
    for pair in pairs:
        losers, why = _conflict(photos, pair)
        dropped |= {
            place: f"{_LOOKS[pair.kind]} {_other(photos, pair, place)}, {why}" for place in losers
        }
        if losers:
            first, second = (printable(photos[i].entry.file) for i in (pair.first, pair.second))
            conflicts.append(f"  {first} {_LOOKS[pair.kind]} {second}, {why}")
    if conflicts and not drop:
        listed = "\n".join(shortened(conflicts, "more pairs"))
        raise DataError(
            f"{len(conflicts)} pairs of photos contradict each other:\n{listed}\n"
            "Correct the folder, or leave them out: --data.duplicates drop (both of a pair in two "
            "classes; of a pair in two splits the one in train, or in val where the other is in "
            "test)"
        )
    kept = [pair for pair in pairs if not {pair.first, pair.second} & dropped.keys()]
    return Verdict(units=_units(photos, kept), dropped=dropped, kept=kept)


def _conflict(photos: Sequence[Imported], pair: Pair) -> tuple[tuple[int, ...], str]:
    """Places to leave out because of a pair, and the contradiction."""
    one, other = photos[pair.first], photos[pair.second]
    if one.label != other.label:
        return (pair.first, pair.second), f"but one is {one.entry.label}, one {other.entry.label}"
    given = one.entry.split, other.entry.split
    if "" in given or given[0] == given[1]:
        return (), ""
    order = [SPLITS.index(split) for split in given]
    loser = pair.first if order[0] < order[1] else pair.second
    return (loser,), f"but one is in {given[0]}, one in {given[1]}"


def _other(photos: Sequence[Imported], pair: Pair, place: int) -> str:
    return photos[pair.second if place == pair.first else pair.first].entry.file


def _units(photos: Sequence[Imported], pairs: Sequence[Pair]) -> list[str]:
    """Names what is linked by a group or by copies after its first photo's group or file."""
    own = [photo.entry.group or photo.entry.file for photo in photos]
    names, which = np.unique(np.array(own, dtype=object), return_inverse=True)
    first, second = ([which[getattr(pair, end)] for pair in pairs] for end in ("first", "second"))
    graph = scipy.sparse.coo_array(
        (np.ones(len(pairs), bool), (first, second)), shape=(len(names), len(names))
    )
    _, component = scipy.sparse.csgraph.connected_components(graph, directed=False)
    _, representative = np.unique(component, return_index=True)
    return [str(names[representative[component[i]]]) for i in which]
