"""Numbers and names as reports and pages spell them."""

from collections.abc import Collection, Iterable

from markupsafe import Markup, escape


def percent(value: float | None) -> str:
    """0.9512 as "95.1 %"; a dash where undefined."""
    return "-" if value is None else f"{100 * value:.1f} %"


def promised(share: float) -> str:
    """0.995 as "99.5 %": with all its digits, so that no promise is rounded to 0 or 100 %."""
    return f"{100 * share:g} %"


def answers_always(threshold: float, classes: Collection[str]) -> bool:
    """Whether a threshold accepts every photo: the likeliest of n classes has 1 / n at least."""
    return threshold <= 1 / len(classes)


def number(value: float | None, digits: int = 3) -> str:
    """0.9512 as "0.951"; a dash where undefined."""
    return "-" if value is None else f"{value:.{digits}f}"


def isolated(names: Iterable[str], between: str) -> Markup:
    """Names joined, each laid out for itself: one that is read from the right moves no other."""
    return Markup(escape(between)).join(Markup("<bdi>{}</bdi>").format(name) for name in names)


def learned(names: Iterable[str]) -> str:
    """What weights learned from, in its order: "generated photos (SYNTHETIC), then scin"."""
    return ", then ".join(
        "generated photos (SYNTHETIC)" if name == "SYNTHETIC" else name for name in names
    )
