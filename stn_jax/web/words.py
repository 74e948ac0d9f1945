"""Numbers, and where weights come from, as a clinician reads them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stn_jax.evaluation.words import percent
from stn_jax.web.evidence import similar_photos


def chance(value: float, other: float | None = None) -> str:
    """A probability: "92.4 %"; never "100 %" or "0 %", which no model knows.

    With as many digits as tell it apart from `other`, one at least and six at most.
    """
    digits = 1
    if other is not None and other != value:
        while digits < 6 and _with_bounds(value, digits) == _with_bounds(other, digits):
            digits += 1
    return _with_bounds(value, digits)


def _with_bounds(value: float, digits: int) -> str:
    """With `digits` after the point; a bound, "> 99.9 %", in place of all or nothing."""
    least = 10 ** -(digits + 2)
    if value > 1 - least:
        return f"> {100 * (1 - least):.{digits}f} %"
    if value < least:
        return f"< {100 * least:.{digits}f} %"
    return f"{100 * value:.{digits}f} %"


def share(part: int, whole: int) -> str:
    """A counted share: "47.8 %"."""
    return percent(part / whole if whole else None)


def choices(classes: Sequence[str]) -> str:
    """The classes as a question: "Eczema or psoriasis?"."""
    if len(classes) > 4:
        return f"Which of {len(classes)} classes?"
    question = " or ".join((", ".join(classes[:-1]), classes[-1])) if classes[1:] else classes[0]
    return f"{question[:1].upper()}{question[1:]}?"


def certainty_in_words(evidence: Mapping[str, Any] | None, confidence: float) -> str:
    """What being this sure meant on photos whose truth is known."""
    if not evidence or not evidence["n"]:
        return "This model has not been tested, so nobody knows what being this sure is worth."
    similar = similar_photos(evidence, confidence)
    kind = {"test": "test", "val": "validation", "train": "training"}[evidence["split"]]
    sure = f"{100 * similar['low']:.0f} to {100 * similar['high']:.0f} % sure"
    if not similar["n"]:
        others = _others_in_words(evidence, confidence, kind)
        return f"It was {others}, so nobody knows how often it is right when it is {sure}."
    photos = "photo" if similar["n"] == 1 else "photos"
    were = "was" if similar["correct"] == 1 else "were"
    return f"Of {similar['n']} {kind} {photos} it was {sure} of, {similar['correct']} {were} right."


def _others_in_words(evidence: Mapping[str, Any], confidence: float, kind: str) -> str:
    """How sure it was of the photos of a test in which it was about this sure of none."""
    n = evidence["n"]
    surer = sum(b["n"] for b in evidence["reliability"] if b["low"] > confidence)
    if 0 < surer < n:
        return f"about this sure of none of {n} {kind} photos"
    every = f"all {n} {kind} photos" if n > 1 else f"the one {kind} photo"
    return f"{'surer' if surer else 'less sure'} of {every} than of this one"


def note_in_words(note: str) -> str:
    """Why there is no threshold, without the command that only an operator can give."""
    return note.partition(": python ")[0]


def reason_in_words(reason: str) -> str:
    """Why a photo was refused, without what only an operator can change."""
    reason = re.sub(r" \([^()]*(--data|pip install)[^()]*\)", "", reason)
    return f"{reason[:1].upper()}{reason[1:]}."


def unnamed(sources: Iterable[str]) -> list[str]:
    """What weights learned from, without the names that folders have on the operator's machine."""
    return [name if name == "SYNTHETIC" else "other photos" for name in sources]
