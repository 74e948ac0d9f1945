"""Photos beside what the network looked at: the surest right and wrong ones, and the least sure."""

import textwrap
from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import Float, Int, UInt8
from matplotlib.figure import Figure

from stn_jax.data.pipeline import Split
from stn_jax.drawing import outline_photo, show
from stn_jax.evaluation import geometry
from stn_jax.evaluation.figures import STYLE, finish, save
from stn_jax.evaluation.predictor import Predictor
from stn_jax.evaluation.table import PredictionTable
from stn_jax.evaluation.words import percent

TITLES = {
    "surest_right": "Right, and the surest of it",
    "surest_wrong": "Wrong, and the surest of it",
    "least_sure": "Least sure",
}
_TITLE_LETTERS = 28
"""On a line above a photo, at most: as wide as the photo."""


def choose_photos(table: PredictionTable, count: int) -> dict[str, Int[np.ndarray, " photo"]]:
    """Places in the table of the photos that a gallery shows, by the name of the gallery."""
    sure = np.argsort(-table.confidence, kind="stable")
    return {
        "surest_right": sure[table.correct[sure]][:count],
        "surest_wrong": sure[~table.correct[sure]][:count],
        "least_sure": sure[::-1][:count],
    }


def make_galleries(
    table: PredictionTable,
    split: Split,
    predictor: Predictor,
    folder: Path,
    *,
    count: int = 4,
    synthetic: bool = False,
) -> list[str]:
    """Draws the galleries that have photos to show; returns their names.

    Args:
      table: calibrated predictions of every photo of the split.
      split: the photos, in the table's order.
      predictor: makes the crops.
      folder: where PNG and SVG go.
      count: photos a gallery.
      synthetic: mark each as SYNTHETIC.
    """
    made = []
    for name, places in choose_photos(table, count).items():
        if not len(places):
            continue
        photos = np.stack([split[int(place)]["photo"] for place in places])
        crops = predictor.read(photos).crops
        with matplotlib.rc_context(STYLE):
            figure = draw_gallery(TITLES[name], table, places, photos, crops)
            finish(figure, synthetic=synthetic)
        save(figure, folder, name)
        made.append(name)
    return made


def draw_gallery(
    title: str,
    table: PredictionTable,
    places: Int[np.ndarray, " row"],
    photos: UInt8[np.ndarray, "row height width channel"],
    crops: UInt8[np.ndarray, "row crop_height crop_width channel"],
) -> Figure:
    """Draws a photo with the area of interest outlined, and that area, a row for each photo."""
    height, width = photos.shape[1:3]
    titles = [_answer(table, int(place)) for place in places]
    lines = max(len(title.splitlines()) for title in titles)
    row_height = 2.5 * height / width + 0.47 + 0.15 * lines
    figure = Figure(figsize=(5.2, row_height * len(places) + 0.45), layout="constrained")
    figure.suptitle(title, fontsize=11, weight="bold", x=0.01, ha="left")
    axes = figure.subplots(len(places), 2, squeeze=False)
    for row, place in enumerate(places):
        outline_photo(
            axes[row, 0], photos[row], table.area[place], lesion=_known(table.lesion[place])
        )
        show(axes[row, 1], crops[row])
        axes[row, 0].set_title(titles[row], fontsize=9)
        axes[row, 1].set_title("area of interest", fontsize=9, weight="normal")
        words = geometry.in_words(table.area[place], (height, width))
        axes[row, 1].set_xlabel(words, fontsize=8)
        axes[row, 0].set_xlabel(_short(table.file[place]), fontsize=8)
    return figure


def _answer(table: PredictionTable, place: int) -> str:
    called, truly = (table.classes[index] for index in (table.predicted[place], table.label[place]))
    sure = f"{percent(float(table.confidence[place]))} sure"
    said = [f"{called}, {sure}"] if called == truly else [f"{called}, {sure}", f"truly {truly}"]
    return "\n".join(textwrap.fill(line, _TITLE_LETTERS) for line in said)


def _known(box: Float[np.ndarray, "4"]) -> Float[np.ndarray, "4 2"] | None:
    return geometry.box_corners(box) if np.isfinite(box).all() else None


def _short(file: str, most: int = 40) -> str:
    return file if len(file) <= most else f"... {file[4 - most :]}"
