"""How all figures look: readable in grey, by the colour-blind, and on a phone.

Colours are Okabe and Ito's; what a colour says, a marker or a line style says too.
"""

import matplotlib.ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stn_jax.evaluation.letters import families

BLUE, ORANGE, GREEN, PURPLE, SKY, GREY, AMBER = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#6b6b6b",
    "#e69f00",
)
CLASS_COLORS = (BLUE, ORANGE, GREEN, PURPLE, SKY, GREY, AMBER)
CLASS_MARKERS = "os^DvPX*<p>d"
"""Twelve, which is no multiple of the colours: both are the same again after 84 classes."""
STYLE = {
    "font.family": families(),
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#444444",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "svg.hashsalt": "stn_jax",
    "text.parse_math": False,  # names of classes and files may hold a $
}
SIZE = (4.8, 3.9)
"""Inches. Small on purpose: letters stay readable when a phone shows the figure at its width."""


def new_figure(title: str, ylabel: str | None) -> tuple[Figure, Axes]:
    """Makes a figure of one plot, with its title."""
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    if ylabel:
        axes.set_ylabel(ylabel)
    return figure, axes


def percent_formatter() -> matplotlib.ticker.Formatter:
    """Writes shares from 0 to 1 beside an axis as whole percents."""
    return matplotlib.ticker.PercentFormatter(1, decimals=0, symbol=" %")


def class_color(index: int) -> str:
    """The colour of a class; after the last, colours begin anew."""
    return CLASS_COLORS[index % len(CLASS_COLORS)]


def class_marker(index: int) -> str:
    """The marker of a class; after the last, markers begin anew."""
    return CLASS_MARKERS[index % len(CLASS_MARKERS)]
