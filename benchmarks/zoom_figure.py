"""Draws where runs look: a row a run, the same test photos, heat map and crop over each.

Runs come from `benchmarks/zoom.py`, and are named so:

    python -m benchmarks.zoom_figure --output zoom.png "glimpses=runs/zoom/synthetic-2-glimpses-0"
"""

import json
from pathlib import Path

import jax.numpy as jnp
import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.figure_options import read_options
from stn_jax.data.builder import prepare
from stn_jax.drawing import outline_photo
from stn_jax.evaluation.figures import STYLE, finish
from stn_jax.evaluation.geometry import box_corners
from stn_jax.evaluation.predictor import Predictor, load_predictor

PHOTOS = 5


def draw_runs(runs: dict[str, Path]) -> Figure:
    """Draws one row a run; all must be of the same photos."""
    figure = Figure(figsize=(11, 1.75 * len(runs) + 0.3), layout="constrained")
    axes = figure.subplots(len(runs), PHOTOS, squeeze=False)
    for row, (name, workdir) in zip(axes, runs.items(), strict=True):
        predictor = load_predictor(workdir)
        split = prepare(predictor.run.config.data).splits["test"]
        records = [split[place] for place in range(PHOTOS)]
        photos = np.stack([record["photo"] for record in records])
        areas = predictor.read(photos).area
        for axis, record, area in zip(row, records, areas, strict=True):
            outline_photo(axis, record["photo"], area, lesion=box_corners(record["box"]))
        draw_heatmaps(row, predictor, photos)
        metrics = json.loads((workdir / "evaluation" / "metrics.json").read_text())
        row[0].set_ylabel(f"{name}\n{metrics['correct']} of {metrics['n']} right", fontsize=9)
    return figure


def draw_heatmaps(row: list[Axes], predictor: Predictor, photos: np.ndarray) -> None:
    """Lays each photo's heat map over it; nothing where the network has none."""
    look = predictor.model.apply(
        predictor.variables, jnp.asarray(photos), method=lambda m, p: m.transformer.locate(p)
    )
    if look.log_heatmap is None:
        return
    width, height = np.asarray(look.covered) * photos.shape[2:0:-1]
    for axis, log_heatmap in zip(row, look.log_heatmap, strict=True):
        heat = np.exp(np.asarray(log_heatmap))
        heat /= heat.max()
        colour = np.broadcast_to([0.1, 0.3, 1.0], (*heat.shape, 3))
        axis.imshow(
            np.concatenate([colour, 0.75 * heat[..., None]], axis=-1),
            extent=(-0.5, width - 0.5, height - 0.5, -0.5),
            interpolation="bilinear",
        )


def main() -> None:
    runs, output = read_options(__doc__)
    with matplotlib.rc_context(STYLE):
        figure = draw_runs(runs)
        finish(figure, synthetic=True)
        figure.savefig(output, dpi=110)


if __name__ == "__main__":
    main()
