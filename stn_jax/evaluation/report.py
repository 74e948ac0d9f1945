"""report.html: the evaluation for a reader who has never heard of machine learning.

One file with its pictures inside. It holds no number that is not in metrics.json.
"""

import base64
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jinja2

from stn_jax.evaluation.metrics import commonest
from stn_jax.evaluation.words import (
    answers_always,
    between,
    isolated,
    learned,
    number,
    percent,
    promised,
)

REPORT = "report.html"

FIGURES = {
    "learning": (
        "How it learned",
        "Loss and share right by training step, on training and on validation photos.",
    ),
    "confidence": (
        "How sure it was, right and wrong",
        "Each mark is a photo, as high as the network was sure. A good network has its wrong "
        "answers low, where it can be told to stay silent.",
    ),
    "risk_coverage": (
        "When it may stay silent",
        "How often answers are wrong if only the surest photos are answered.",
    ),
    "reliability": (
        "Does it mean what it says?",
        "Of the photos of which it was about 80 % sure, 80 % should be right: on the dotted line, "
        "it means what it says.",
    ),
    "confusion": ("What was called what", "Counts of photos, with the share of each true class."),
    "roc": ("ROC", "Photos found against false alarms, for every cutoff."),
    "precision_recall": ("Precision and recall", "Photos found against how many calls are right."),
    "baselines": (
        "Does the zoom help?",
        "The same weights shown the learned crop, a fixed centre crop, and the whole photo shrunk.",
    ),
    "where": ("Where it looks", "Outlines of the areas of interest of all photos."),
    "surest_right": (
        "Right, and the surest of it",
        "The photo with the area of interest outlined, beside what the classifier saw.",
    ),
    "surest_wrong": (
        "Wrong, and the surest of it",
        "The most instructive mistakes.",
    ),
    "least_sure": ("Least sure", "Photos of which it could not tell."),
}


def write_report(folder: Path, metrics: Mapping[str, Any], *, filmstrip: Path) -> Path:
    """Writes report.html.

    Args:
      folder: holds `figures/` and gets the report.
      metrics: what metrics.json holds.
      filmstrip: the picture of crops and theta during training, where there is one.

    Returns:
      The report's path.
    """
    pictures = list(_pictures(folder / "figures", filmstrip))
    path = folder / REPORT
    path.write_text(
        _TEMPLATES.get_template("report.html").render(m=metrics, pictures=pictures), "utf-8"
    )
    return path


def _pictures(folder: Path, filmstrip: Path) -> Iterator[dict[str, str | bool]]:
    if filmstrip.is_file():
        yield {
            "title": "What it looked at while it learned",
            "text": "Crops of the same photos during training, with theta under each: the zoom, "
            "the skew and the shift of the crop.",
            "data": _encode(filmstrip),
            "heading": True,
        }
    for name, (title, text) in FIGURES.items():
        path = folder / f"{name}.png"
        if path.is_file():
            # The figure itself bears its title.
            yield {"title": title, "text": text, "data": _encode(path), "heading": False}


def _encode(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode("ascii")


def _having_any(slices: Iterable[str], columns: Iterable[str]) -> bool:
    """Whether a column is among the slices, as people write it: "Skin type" is skin_type."""
    return not set(columns).isdisjoint(name.casefold().replace(" ", "_") for name in slices)


_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters |= {
    "percent": percent,
    "promised": promised,
    "between": between,
    "number": number,
    "isolated": isolated,
    "learned": learned,
    "commonest": commonest,
}
_TEMPLATES.tests |= {"always": answers_always, "having_any": _having_any}
