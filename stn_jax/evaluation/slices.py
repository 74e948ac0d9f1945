"""From a column of metadata to slices of photos: one each value, or ranges of many numbers."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

MOST_SLICES = 20
"""A metadata column of more different texts is left out."""
_MOST_NUMBERS = 10
"""A metadata column of more different numbers, such as ages, is cut into ranges."""
_UNKNOWN = ("", "unknown", "Unknown", "UNKNOWN")
_NO_NUMBER = ("", "unknown", "na", "n/a", "nan", "none", "null")
"""What programs and people write, in small letters, where there is no number."""


def slice_column(values: Sequence[str]) -> dict[str, Bool[np.ndarray, " photo"]] | None:
    """Cuts a column into slices: a value each, or a few ranges where it holds many numbers.

    Args:
      values: of each photo, as photos.csv has them; where none is known, empty or "unknown".

    Returns:
      Which photos are in each slice, by its name, in the order to show them: sorted, what is
      unknown last. Each photo is in one. None for a column of more than `MOST_SLICES` different
      texts.
    """
    numbers = _as_numbers(values)
    if numbers is None:
        return _of_each_text(values)
    if len(np.unique(numbers[np.isfinite(numbers)])) > _MOST_NUMBERS:
        return _ranges(numbers)
    return _of_each_number(values, numbers)


def _of_each_text(values: Sequence[str]) -> dict[str, Bool[np.ndarray, " photo"]] | None:
    """Photos of each text, what is unknown last; None where there are too many texts."""
    texts = np.array(values, object)
    missing = np.isin(texts, _UNKNOWN)
    known = sorted(set(texts[~missing]))
    if len(known) + missing.any() > MOST_SLICES:
        return None
    return {text: texts == text for text in known} | _unknown(missing)


def _of_each_number(
    values: Sequence[str], numbers: Float[np.ndarray, " photo"]
) -> dict[str, Bool[np.ndarray, " photo"]]:
    """Photos of each number, by the shortest way it is written; what is none comes last."""
    found, texts = {}, np.array(values, object)
    for number in np.unique(numbers[np.isfinite(numbers)]):
        members = numbers == number
        found[min(texts[members], key=lambda text: (len(text), text))] = members
    return found | _unknown(np.isnan(numbers))


def _unknown(missing: Bool[np.ndarray, " photo"]) -> dict[str, Bool[np.ndarray, " photo"]]:
    return {"unknown": missing} if missing.any() else {}


def _ranges(numbers: Float[np.ndarray, " photo"]) -> dict[str, Bool[np.ndarray, " photo"]]:
    """Photos of about a quarter of the numbers each, between rounded edges; NaN: unknown."""
    known = np.isfinite(numbers)
    edges, digits = _rounded_quarters(numbers[known])
    places = np.searchsorted(edges[1:-1], numbers, side="right")
    names = _range_names(edges, digits, whole=_are_whole(numbers[known]))
    found = {name: known & (places == place) for place, name in enumerate(names)}
    return {name: members for name, members in found.items() if members.any()} | _unknown(~known)


def _rounded_quarters(
    numbers: Float[np.ndarray, " number"],
) -> tuple[Float[np.ndarray, " edge"], int]:
    """Edges of quarters with no more digits than tell them apart, and how many after the point.

    Edges between quarters are multiples of 1, 2 or 5 times a power of ten, at most half as large as
    the narrowest quarter, so that each stays near where it was.
    """
    quarters = np.unique(np.quantile(numbers, [0, 0.25, 0.5, 0.75, 1]))
    most = np.diff(quarters).min() / 2
    power = np.floor(np.log10(most))
    step = max(c * 10**power for c in (1, 2, 5) if c * 10**power <= most or c == 1)
    if _are_whole(numbers):
        step = max(step, 1)
    digits = max(0, -int(np.floor(np.log10(step))))
    inner = np.round(quarters[1:-1] / step) * step
    unit = 10.0**-digits
    ends = np.floor(quarters[0] / unit) * unit, np.ceil(quarters[-1] / unit) * unit
    # Rounded, so that they are the numbers that their names say; + 0.0 makes 0 of -0.
    return np.unique(np.round([ends[0], *inner, ends[1]], digits)) + 0.0, digits


def _range_names(edges: Float[np.ndarray, " edge"], digits: int, *, whole: bool) -> list[str]:
    """Ranges as one counts: "20 to 39" and so on of whole numbers, else "2.5 to under 5.0"."""
    highs = [*(edges[1:-1] - int(whole)), edges[-1]]
    names = []
    for low, high in zip(edges[:-1], highs, strict=True):
        between = "to" if whole or high == edges[-1] else "to under"
        first, end = f"{low:.{digits}f}", f"{high:.{digits}f}"
        names.append(first if low == high else f"{first} {between} {end}")
    return names


def _are_whole(numbers: Float[np.ndarray, " number"]) -> bool:
    return not (numbers % 1).any()


def _as_numbers(values: Sequence[str]) -> Float[np.ndarray, " value"] | None:
    """Values as finite numbers, NaN where there is none; None when one is text, or all are none."""
    given = np.array([value.casefold() not in _NO_NUMBER for value in values], bool)
    numbers = np.full(len(values), np.nan)
    try:
        numbers[given] = [float(value) for value in np.array(values, object)[given]]
    except ValueError:
        return None
    return numbers if given.any() and np.isfinite(numbers[given]).all() else None
