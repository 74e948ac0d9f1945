"""What every figure goes through in the end: the mark of generated photos, and its files."""

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from stn_jax.drawing import MARK, MARK_COLOR
from stn_jax.evaluation.figures.style import STYLE


def finish(figure: Figure, *, synthetic: bool) -> None:
    """Marks a figure of generated photos as such, where cropping cannot miss it."""
    if synthetic:
        strip = 0.16 / figure.get_size_inches()[1]
        # At the top: legends below keep to no rectangle.
        figure.get_layout_engine().set(rect=(0, 0, 1, 1 - strip))
        figure.text(
            0.995,
            0.995,
            MARK,
            ha="right",
            va="top",
            fontsize=7,
            color=MARK_COLOR,
            weight="bold",
        )


def save(figure: Figure, folder: Path, name: str) -> None:
    """Writes NAME.png and NAME.svg; the same figure gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(STYLE):
        figure.savefig(folder / f"{name}.png", dpi=160)
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
