"""The figures of an evaluation.

Every figure is made of a table of predictions and the metrics computed from it, but for the curves
of learning, which are made of what training wrote.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

from stn_jax.evaluation.figures.baselines import baselines_figure
from stn_jax.evaluation.figures.confidence import confidence_figure
from stn_jax.evaluation.figures.confusion import confusion_figure
from stn_jax.evaluation.figures.learning import learning_curves, smooth
from stn_jax.evaluation.figures.ranking import precision_recall_figure, roc_figure
from stn_jax.evaluation.figures.reliability import reliability_figure
from stn_jax.evaluation.figures.risk_coverage import risk_coverage_figure
from stn_jax.evaluation.figures.saving import finish, save
from stn_jax.evaluation.figures.style import STYLE
from stn_jax.evaluation.figures.where import where_figure
from stn_jax.evaluation.table import PredictionTable

__all__ = [
    "STYLE",
    "baselines_figure",
    "confidence_figure",
    "confusion_figure",
    "finish",
    "learning_curves",
    "make_figures",
    "precision_recall_figure",
    "reliability_figure",
    "risk_coverage_figure",
    "roc_figure",
    "save",
    "smooth",
    "where_figure",
]


def make_figures(
    table: PredictionTable, summary: Mapping[str, Any], folder: Path, *, synthetic: bool = False
) -> list[str]:
    """Draws every figure that the table allows.

    Args:
      table: calibrated predictions of the split that `summary` is about.
      summary: what `summarise` returned for it.
      folder: where PNG and SVG go.
      synthetic: mark each figure as SYNTHETIC.

    Returns:
      Names of the figures, in the order to show them.
    """
    makers = {
        "confidence": lambda: confidence_figure(table, summary),
        "confusion": lambda: confusion_figure(summary),
        "risk_coverage": lambda: risk_coverage_figure(table, summary),
        "reliability": lambda: reliability_figure(summary),
        "roc": lambda: roc_figure(table, summary),
        "precision_recall": lambda: precision_recall_figure(table, summary),
        "baselines": lambda: baselines_figure(summary),
    }
    made = []
    for name, make in makers.items():
        with matplotlib.rc_context(STYLE):
            figure = make() if len(table) else None
            if figure is not None:
                finish(figure, synthetic=synthetic)
        if figure is not None:
            save(figure, folder, name)
            made.append(name)
    return made
