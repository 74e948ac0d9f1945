"""Numbers and names as reports and pages spell them."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from markupsafe import Markup, escape

_MOST_DIGITS = 6
"""After the point, where fewer would make all or nothing of a share."""


def percent(value: float | None, digits: int = 1) -> str:
    """0.9512 as "95.1 %"; a dash where undefined.

    4,999 of 5,000 are "99.98 %", not "100.0 %": more digits are given to what is not all or nothing
    but would be rounded to it.
    """
    return "-" if value is None else f"{_with_enough_digits(100 * value, digits, whole=100)} %"


def between(interval: Mapping[str, Any]) -> str:
    """An interval of shares, by its `low` and `high`: "between 69.1 and 80.9 %"."""
    if interval["low"] is None:
        return "interval unknown"
    return f"between {percent(interval['low']).removesuffix(' %')} and {percent(interval['high'])}"


def promised(share: float) -> str:
    """0.995 as "99.5 %": with all its digits, so that no promise is rounded to 0 or 100 %."""
    return f"{100 * share:g} %"


def answers_always(threshold: float, classes: Collection[str]) -> bool:
    """Whether a threshold accepts every photo: the likeliest of n classes has 1 / n at least."""
    return threshold <= 1 / len(classes)


def number(value: float | None, digits: int = 3) -> str:
    """0.9512 as "0.951"; a dash where undefined. Rounded to 0 or 1 as little as by `percent`."""
    return "-" if value is None else _with_enough_digits(value, digits, whole=1)


def _with_enough_digits(value: float, digits: int, *, whole: int) -> str:
    """With `digits` after the point; more where it would read 0 or `whole` and is neither."""
    for enough in range(digits, _MOST_DIGITS + 1):
        text = f"{value:.{enough}f}"
        if not 0 < value < whole or 0 < float(text) < whole:
            return text
    return f"{value:.{digits}f}"


def isolated(names: Iterable[str], between: str) -> Markup:
    """Names joined, each laid out for itself: one that is read from the right moves no other."""
    return Markup(escape(between)).join(Markup("<bdi>{}</bdi>").format(name) for name in names)


def learned(names: Iterable[str]) -> str:
    """What weights learned from, in its order: "generated photos (SYNTHETIC), then scin"."""
    return ", then ".join(
        "generated photos (SYNTHETIC)" if name == "SYNTHETIC" else name for name in names
    )
