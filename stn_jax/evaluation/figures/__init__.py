"""The figures of an evaluation: readable in grey, by the colour-blind, and on a phone.

Every figure is made of a table of predictions and the metrics computed from it. Colours are Okabe
and Ito's; what a colour says, a marker or a line style says too.
"""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.figure
import matplotlib.patches
import matplotlib.ticker
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text

from stn_jax.drawing import MARK, MARK_COLOR
from stn_jax.evaluation import metrics, selective
from stn_jax.evaluation.intervals import draw_groups, group_members, rate
from stn_jax.evaluation.letters import families
from stn_jax.evaluation.table import PredictionTable
from stn_jax.evaluation.words import promised

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
CLASS_LINES = ("-", "--", "-.", ":")
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
MOST_IN_AXES = 3
"""Classes whose curves leave room for a legend among them; that of more goes below."""
_NAME_LETTERS = 18
"""On a line of a class's name beside a cell."""
_LEGEND_LETTERS = 58
"""On a line of a legend below, at most: as wide as a figure."""
_LEGEND_HEIGHT = 0.6
"""Inches of a legend below that a figure has room for; it grows by what one is higher."""
_BAND_PLACES = 200
"""Shares of photos, at most, at which the band around the error is computed."""
_DRAWS = 300
"""Bootstrap draws behind the bands of ROC and precision-recall."""


def save(figure: Figure, folder: Path, name: str) -> None:
    """Writes NAME.png and NAME.svg; the same figure gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(STYLE):
        figure.savefig(folder / f"{name}.png", dpi=160)
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})


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


def confidence_figure(table: PredictionTable, summary: Mapping[str, Any]) -> Figure:
    """The paper's Figure 3: how sure the model was where it was right, and where it was wrong."""
    figure, axes = _figure("How sure it was, right and wrong", "calibrated confidence")
    floor = 1 / len(table.classes)
    outcomes = (("right", table.correct), ("wrong", ~table.correct))
    for column, (_, chosen) in enumerate(outcomes):
        offsets = _swarm(table.confidence[chosen], floor)
        for index, name in enumerate(table.classes):
            own = table.predicted[chosen] == index
            axes.scatter(
                column + offsets[own],
                table.confidence[chosen][own],
                s=16,
                marker=_marker(index),
                facecolor=_color(index),
                edgecolor="white",
                linewidth=0.3,
                label=f"called {name}" if column == 0 else None,
            )
    _confidence_lines(axes, summary)
    axes.set_xticks([0, 1], [f"{name}: {int(chosen.sum())}" for name, chosen in outcomes])
    axes.set_xlim(-0.5, 1.5)
    axes.set_ylim(floor - 0.02 * (1 - floor), 1 + 0.03 * (1 - floor))
    axes.grid(visible=False, axis="x")
    axes.yaxis.set_major_formatter(_percent())
    _legend_below(figure, axes)
    return figure


def _confidence_lines(axes: Axes, summary: Mapping[str, Any]) -> None:
    cutoff = summary["paper_cutoff"]["threshold"]
    axes.axhline(cutoff, color=GREY, linewidth=1.2, linestyle=":", label=f"{promised(cutoff)} sure")
    threshold = summary["selective"]["threshold"]
    if threshold:
        axes.axhline(
            threshold, color="black", linewidth=1.2, linestyle="--", label="answers from here up"
        )


def _swarm(values: Float[np.ndarray, " photo"], floor: float) -> Float[np.ndarray, " photo"]:
    """Sideways offsets that keep photos of similar confidence apart, centred on 0."""
    bins = np.floor((values - floor) / (1 - floor) * 50).astype(int)
    counts = np.bincount(np.clip(bins, 0, None), minlength=1) if len(values) else np.zeros(1)
    step = min(0.03, 0.86 / max(1, counts.max()))
    offsets = np.zeros(len(values))
    for members in group_members(bins.astype(str)):
        order = members[np.argsort(values[members], kind="stable")]
        offsets[order] = (np.arange(len(order)) - (len(order) - 1) / 2) * step
    return offsets


def confusion_figure(summary: Mapping[str, Any]) -> Figure:
    """Photos by true class (rows) and by what they were called, with shares of each row."""
    counts, names = np.array(summary["confusion"]), summary["classes"]
    points = 14 if len(names) < 5 else 8
    figure, axes = _figure("What was called what", None)
    rows = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shares = counts / rows
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1.3, aspect="auto")
    for row, column in np.ndindex(*counts.shape):
        weight = "bold" if row == column else "normal"
        axes.text(
            column,
            row,
            f"{counts[row, column]}\n{shares[row, column]:.0%}",
            ha="center",
            va="center",
            fontsize=points,
            weight=weight,
            color="white" if shares[row, column] > 0.75 else "black",
        )
    axes.set_xlabel("called")
    axes.set_ylabel("truly")
    axes.grid(visible=False)
    axes.tick_params(length=0)
    _name_cells(figure, axes, names, least=3.2 * points / 72)
    return figure


def _name_cells(figure: Figure, axes: Axes, names: Sequence[str], *, least: float) -> None:
    """Names rows and columns, and makes cells large enough for that; turns what is too wide.

    Args:
      figure: is enlarged as needed.
      axes: the matrix.
      names: of the classes.
      least: inches of a cell's side that what stands in it needs.
    """
    count, gap = len(names), 0.08 * figure.dpi
    wrapped = [textwrap.fill(name, _NAME_LETTERS) for name in names]
    axes.set_yticks(range(count), wrapped)
    axes.set_xticks(range(count), wrapped)
    figure.draw_without_rendering()
    if _largest(axes.get_xticklabels(), "width") + gap > axes.bbox.width / count:
        axes.set_xticks(range(count), wrapped, rotation=90, multialignment="right")
        figure.draw_without_rendering()
    sides = (_largest(axes.get_xticklabels(), "width"), _largest(axes.get_yticklabels(), "height"))
    wanted = count * np.maximum(np.add(sides, gap), least * figure.dpi)
    missing = np.maximum(wanted - axes.bbox.size, 0)
    figure.set_size_inches(figure.get_size_inches() + missing / figure.dpi)


def _largest(labels: Sequence[Text], side: str) -> float:
    """The largest width or height of drawn texts, in dots."""
    return max(getattr(label.get_window_extent(), side) for label in labels)


def reliability_figure(summary: Mapping[str, Any]) -> Figure:
    """Accuracy against confidence, with intervals; on the diagonal the model means what it says."""
    figure = Figure(figsize=SIZE, layout="constrained")
    axes, counts = figure.subplots(2, 1, sharex=True, height_ratios=(3.2, 1))
    axes.set_title("Does it mean what it says?")
    bins = [b for b in summary["reliability"] if b["n"]]
    floor = summary["reliability"][0]["low"]
    axes.plot([floor, 1], [floor, 1], color=GREY, linewidth=1, linestyle=":", label="ideal")
    before = summary["calibration"].get("before")
    if before:
        raw = [b for b in before["test_reliability"] if b["n"]]
        axes.plot(
            [b["confidence"] for b in raw],
            [b["accuracy"]["value"] for b in raw],
            color=ORANGE,
            marker="s",
            markerfacecolor="white",
            markersize=4.5,
            linewidth=1,
            linestyle="--",
            label="before calibration",
        )
    x = np.array([b["confidence"] for b in bins])
    y = np.array([b["accuracy"]["value"] for b in bins])
    below = y - [b["accuracy"]["low"] for b in bins]
    above = np.array([b["accuracy"]["high"] for b in bins]) - y
    axes.errorbar(
        x,
        y,
        np.maximum([below, above], 0),
        color=BLUE,
        fmt="o-",
        markersize=5,
        linewidth=1.5,
        elinewidth=1,
        capsize=2.5,
        label="calibrated, 95 % interval",
    )
    axes.set_ylabel("share right")
    axes.set_ylim(-0.03, 1.05)
    axes.yaxis.set_major_formatter(_percent())
    axes.legend(loc="lower right")
    counts.bar(
        [b["low"] for b in bins],
        [b["n"] for b in bins],
        width=[b["high"] - b["low"] for b in bins],
        align="edge",
        color=SKY,
        edgecolor="white",
    )
    counts.set_ylabel("photos")
    counts.set_xlabel("confidence")
    counts.xaxis.set_major_formatter(_percent())
    counts.set_xlim(floor - 0.01, 1.01)
    return figure


def risk_coverage_figure(table: PredictionTable, summary: Mapping[str, Any]) -> Figure:
    """Error among answered photos against the share answered, with the chosen threshold."""
    figure, axes = _figure(
        "When it may stay silent, how often is it wrong?", "wrong among answered"
    )
    coverage, risk = selective.risk_coverage(table.confidence, table.correct)
    accepted = np.rint(coverage * len(table)).astype(int)
    surest = np.argsort(-table.confidence, kind="stable")
    places = np.unique(np.linspace(0, len(accepted) - 1, _BAND_PLACES).astype(int))
    limits = [
        rate(~table.correct[surest[:count]], table.group[surest[:count]])
        for count in accepted[places]
    ]
    axes.fill_between(
        coverage[places],
        [limit.low for limit in limits],
        [limit.high for limit in limits],
        color=SKY,
        alpha=0.35,
        linewidth=0,
        label="95 % interval",
    )
    axes.plot(coverage, risk, color=BLUE, linewidth=1.6, label="error")
    chosen, paper = summary["selective"], summary["paper_cutoff"]
    if chosen["target_error"] is not None:
        axes.axhline(
            chosen["target_error"],
            color=GREY,
            linestyle=":",
            linewidth=1.2,
            label=f"at most {promised(chosen['target_error'])}",
        )
    if chosen["accepted"]:
        _mark(axes, chosen["coverage"], 1 - chosen["accuracy"], "o", "black", "chosen threshold")
    if paper["accepted"]:
        wrong = 1 - paper["accuracy"]["value"]
        name = f"{promised(paper['threshold'])} sure (the paper)"
        _mark(axes, paper["coverage"], wrong, "D", ORANGE, name)
    axes.set_xlabel("answered, of all photos (surest first)")
    axes.set_xlim(0, 1.02)
    top = max([*risk[accepted >= 0.1 * len(table)], chosen["target_error"] or 0, 0.05])
    axes.set_ylim(-0.004, min(1.0, 2.2 * top))
    axes.xaxis.set_major_formatter(_percent())
    axes.yaxis.set_major_formatter(_percent())
    _legend_below(figure, axes)
    return figure


def _mark(axes: Axes, x: float, y: float, marker: str, color: str, label: str) -> None:
    axes.plot(
        [x],
        [y],
        marker=marker,
        markersize=8,
        color=color,
        markeredgecolor="white",
        linestyle="none",
        label=label,
        zorder=5,
    )


def roc_figure(table: PredictionTable, summary: Mapping[str, Any]) -> Figure | None:
    """ROC with a 95 % band over patients; one curve a class where there are more than two."""
    figure, axes = _figure("How well it ranks: ROC", "found (sensitivity)")
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":", label="chance")
    grid = np.linspace(0, 1, 201)
    if not _class_curves(axes, table, summary, "auroc", metrics.Ranking.roc, grid):
        return None
    axes.set_xlabel("false alarms (1 - specificity)")
    _unit_square(axes)
    _legend_of_curves(figure, axes, table, "lower right")
    return figure


def precision_recall_figure(table: PredictionTable, summary: Mapping[str, Any]) -> Figure | None:
    """Precision against recall, with a 95 % band over patients."""
    figure, axes = _figure(
        "How well it ranks: precision and recall", "right among called (precision)"
    )
    grid = np.linspace(0.005, 1, 200)
    curve = metrics.Ranking.precision_recall
    if not _class_curves(axes, table, summary, "average_precision", curve, grid):
        return None
    axes.set_xlabel("found (recall)")
    _unit_square(axes)
    _legend_of_curves(figure, axes, table, "lower left")
    return figure


def _class_curves(
    axes: Axes,
    table: PredictionTable,
    summary: Mapping[str, Any],
    area: str,
    curve: Any,
    grid: Float[np.ndarray, " x"],
) -> bool:
    """Draws a curve a class (the last alone, of two) where it is defined; says whether any was."""
    shown = [len(table.classes) - 1] if len(table.classes) == 2 else range(len(table.classes))
    label = _area_label if len(shown) <= MOST_IN_AXES else _short_area_label
    drawn = False
    for index in shown:
        ranking = metrics.Ranking(table.label == index, table.probabilities[:, index])
        name = table.classes[index]
        interval = summary["per_class"][name][area]
        if interval["value"] is None:
            continue
        drawn = True
        style = {"color": BLUE, "linestyle": "-"} if len(table.classes) == 2 else _line(index)
        band = _band(ranking, table.group, curve, grid)
        if band is not None and len(shown) <= MOST_IN_AXES:
            axes.fill_between(grid, *band, color=style["color"], alpha=0.18, linewidth=0)
        axes.plot(*curve(ranking), linewidth=1.6, label=label(name, interval), **style)
    return drawn


def _area_label(name: str, interval: Mapping[str, Any]) -> str:
    # matplotlib shows no label that begins with "_", as a name may.
    label = f"area of {name}: {interval['value']:.3f}"
    if interval["low"] is not None:
        label += f"\n95 % interval {interval['low']:.3f} to {interval['high']:.3f}"
    return label


def _short_area_label(name: str, interval: Mapping[str, Any]) -> str:
    label = f"of {name}: {interval['value']:.3f}"
    if interval["low"] is not None:
        # On one line, wherever a long label is broken.
        label += f" ({interval['low']:.3f}\xa0to\xa0{interval['high']:.3f})"
    return label


def _legend_of_curves(figure: Figure, axes: Axes, table: PredictionTable, place: str) -> None:
    """Names the curves where there is room."""
    if len(table.classes) <= MOST_IN_AXES:
        axes.legend(loc=place)
    else:
        _legend_below(figure, axes, title="area (95 % interval)")


def _band(
    ranking: metrics.Ranking,
    groups: np.ndarray,
    curve: Any,
    grid: Float[np.ndarray, " x"],
) -> tuple[np.ndarray, np.ndarray] | None:
    """2.5 and 97.5 % points of the curve at each place of the grid, drawing groups again."""
    heights = [
        _height_at(*curve(ranking, drawn), grid)
        for drawn in draw_groups(group_members(groups), repeats=_DRAWS)
        if ranking.auroc(drawn) is not None  # both kinds were drawn
    ]
    if len(heights) < 0.95 * _DRAWS:
        return None
    low, high = np.quantile(heights, [0.025, 0.975], axis=0)
    return low, high


def _height_at(
    x: Float[np.ndarray, " step"], y: Float[np.ndarray, " step"], grid: Float[np.ndarray, " x"]
) -> Float[np.ndarray, " x"]:
    """The curve's height at the last step not beyond each place of the grid."""
    return y[np.maximum(np.searchsorted(x, grid + 1e-12, side="right") - 1, 0)]


def baselines_figure(summary: Mapping[str, Any]) -> Figure | None:
    """Accuracy of the same weights on the learned crop, a centre crop, and the shrunk photo."""
    baselines = summary["stn"]["baselines"]
    if not baselines:
        return None
    names = {"centre": "fixed centre crop", "whole": "whole photo, shrunk"}
    rows = [
        (summary.get("crop", "the learned zoom").removeprefix("the "), summary["accuracy"], None)
    ]
    rows += [(names[k], b["accuracy"], b["mcnemar"]["p"]) for k, b in baselines.items()]
    figure = Figure(figsize=(SIZE[0], 2.3), layout="constrained")
    axes = figure.subplots()
    axes.set_title("Same weights, other crops")
    for row, (_, accuracy, p) in enumerate(rows):
        value, low, high = (accuracy[k] for k in ("value", "low", "high"))
        axes.plot([low, high], [row, row], color=BLUE if row == 0 else GREY, linewidth=2)
        axes.plot(
            [value],
            [row],
            marker="os^"[row],
            markersize=8,
            color=BLUE if row == 0 else GREY,
            linestyle="none",
        )
        text = f"{value:.1%}" + (f"   p {_p_value(p)}" if p is not None else "")
        axes.annotate(
            text, (value, row), xytext=(0, 8), textcoords="offset points", ha="center", fontsize=9
        )
    chance = metrics.commonest(summary["class_counts"])[1] / summary["n"]
    axes.set_yticks(range(len(rows)), [name for name, _, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.75)
    axes.set_xlim(max(0, min(chance, *(a["low"] for _, a, _ in rows)) - 0.12), 1.03)
    _draw_chance(axes, chance)
    axes.xaxis.set_major_formatter(_percent())
    axes.set_xlabel("right (bars: 95 % interval)")
    return figure


def _draw_chance(axes: Axes, chance: float) -> None:
    """Marks what always calling the commonest class reaches, with words where there is room."""
    axes.axvline(chance, color=GREY, linestyle=":", linewidth=1.2)
    to_left = chance > np.mean(axes.get_xlim())
    axes.annotate(
        "always the commonest class",
        (chance, axes.get_ylim()[0]),
        xytext=(-3 if to_left else 3, 3),
        ha="right" if to_left else "left",
        textcoords="offset points",
        fontsize=8,
        color=GREY,
    )


def learning_curves(lines: Sequence[Mapping[str, Any]], best_step: int | None) -> Figure | None:
    """Loss and accuracy by step, from the lines of metrics.jsonl; None without any."""
    panels = [("loss", "loss"), ("accuracy", "right")]
    curves = {
        f"{split}/{name}": [
            (line["step"], line[f"{split}/{name}"]) for line in lines if f"{split}/{name}" in line
        ]
        for split in ("train", "val")
        for name, _ in panels
    }
    if not any(curves.values()):
        return None
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(SIZE[0], 4.4), layout="constrained")
        rows = figure.subplots(2, 1, sharex=True)
        for axes, (name, title) in zip(rows, panels, strict=True):
            _learning_panel(axes, curves[f"train/{name}"], curves[f"val/{name}"], best_step)
            axes.set_ylabel(title)
        rows[0].set_title("How it learned")
        rows[1].yaxis.set_major_formatter(_percent())
        rows[1].set_xlabel("step (batches)")
        rows[0].legend(loc="upper right")
    return figure


def _learning_panel(
    axes: Axes, train: list[tuple[int, float]], val: list[tuple[int, float]], best: int | None
) -> None:
    if train:
        steps, values = np.array(train).T
        axes.plot(steps, values, color=SKY, linewidth=0.7, alpha=0.6)
        axes.plot(steps, smooth(values), color=BLUE, linewidth=1.5, label="training (smoothed)")
    if val:
        axes.plot(
            *np.array(val).T,
            color=ORANGE,
            marker="s",
            markersize=4,
            linestyle="--",
            label="validation",
        )
    if best is not None:
        axes.axvline(best, color="black", linestyle=":", linewidth=1.2, label="weights used here")


def smooth(values: Float[np.ndarray, " step"]) -> Float[np.ndarray, " step"]:
    """A running mean over about a thirtieth of the run, shorter at the ends."""
    width, n = max(1, len(values) // 30), len(values)
    window = np.ones(2 * width + 1)
    sums, counts = (np.convolve(x, window)[width : width + n] for x in (values, np.ones(n)))
    return sums / counts


def where_figure(table: PredictionTable, photo_size: tuple[int, int]) -> Figure | None:
    """Outlines of all areas of interest on the photo's frame; None where they are unknown."""
    known = table.area[np.isfinite(table.area).all(axis=(1, 2))]
    if not len(known):
        return None
    height, width = photo_size
    with matplotlib.rc_context(STYLE):
        figure, axes = _figure("Where it looks", None)
        shown = known[np.linspace(0, len(known) - 1, min(len(known), 150)).astype(int)]
        for area in shown:
            axes.add_patch(
                matplotlib.patches.Polygon(
                    area, closed=True, fill=False, edgecolor=BLUE, alpha=0.13
                )
            )
        axes.plot(
            *known.mean(axis=1).T,
            marker=".",
            markersize=3,
            color=ORANGE,
            linestyle="none",
            label="centre of each area of interest",
        )
        axes.add_patch(
            matplotlib.patches.Rectangle(
                (0, 0), width, height, fill=False, edgecolor="black", linewidth=1.5, label="photo"
            )
        )
        low, high = shown.min(axis=(0, 1)), shown.max(axis=(0, 1))
        margin = 0.04 * width
        axes.set_xlim(
            min(0, max(low[0], -width)) - margin, max(width, min(high[0], 2 * width)) + margin
        )
        axes.set_ylim(
            max(height, min(high[1], 2 * height)) + margin, min(0, max(low[1], -height)) - margin
        )
        axes.set_aspect("equal")
        shape = np.diff(axes.get_ylim()[::-1])[0] / np.diff(axes.get_xlim())[0]
        figure.set_size_inches(SIZE[0], (SIZE[0] - 0.6) * shape + 1.3)
        axes.set_xlabel("pixels")
        axes.grid(visible=False)
        _legend_below(figure, axes)
    return figure


def _figure(title: str, ylabel: str | None) -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    if ylabel:
        axes.set_ylabel(ylabel)
    return figure, axes


def _legend_below(figure: Figure, axes: Axes, title: str | None = None) -> None:
    """Puts the legend below, in one column where two are too wide; the figure grows with it."""
    legend = _add_legend_below(figure, axes, title, columns=2)
    if legend.get_window_extent().width > figure.bbox.width:
        legend.remove()
        legend = _add_legend_below(figure, axes, title, columns=1)
    height = legend.get_window_extent().height / figure.dpi
    figure.set_figheight(figure.get_figheight() + max(0, height - _LEGEND_HEIGHT))


def _add_legend_below(figure: Figure, axes: Axes, title: str | None, columns: int) -> Legend:
    handles, labels = axes.get_legend_handles_labels()
    return figure.legend(
        handles,
        [textwrap.fill(label, _LEGEND_LETTERS) for label in labels],
        title=title,
        loc="outside lower center",
        ncols=columns,
        fontsize=8.5,
        title_fontsize=8.5,
        alignment="left",
    )


def _unit_square(axes: Axes) -> None:
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.04)
    axes.xaxis.set_major_formatter(_percent())
    axes.yaxis.set_major_formatter(_percent())


def _percent() -> matplotlib.ticker.Formatter:
    return matplotlib.ticker.PercentFormatter(1, decimals=0, symbol=" %")


def _p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def _color(index: int) -> str:
    return CLASS_COLORS[index % len(CLASS_COLORS)]


def _line(index: int) -> dict[str, Any]:
    """How the curve of one of several classes looks: lines repeat sooner than markers."""
    return {
        "color": _color(index),
        "linestyle": CLASS_LINES[index % len(CLASS_LINES)],
        "marker": _marker(index),
        "markersize": 5,
        "markevery": (0.01 * index, 0.12),
    }


def _marker(index: int) -> str:
    return CLASS_MARKERS[index % len(CLASS_MARKERS)]
