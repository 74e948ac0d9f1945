"""Figures: drawn from the numbers, marked where generated, the same each time."""

import dataclasses
import itertools

import matplotlib
import numpy as np
import pytest
from PIL import Image

from stn_jax.evaluation import figures
from stn_jax.evaluation.decision import decide
from stn_jax.evaluation.gallery import choose_photos, draw_gallery
from stn_jax.evaluation.summary import summarise
from stn_jax.evaluation.table import make_table

PHOTO = (126, 189)
LONG_NAMES = (
    "Pigmented benign keratosis",
    "Squamous cell carcinoma",
    "Nevus",
    "Basal cell carcinoma",
    "Seborrheic keratosis of the trunk",
    "Melanoma",
    "Vascular lesion",
    "Dermatofibroma",
    "Actinic keratosis / Bowen's disease",
    "Solar lentigo",
    "Lichenoid keratosis",
    "Dermatofibrosarcomaprotuberans",
    *(f"Another condition of the skin, number {number}" for number in range(13, 31)),
)
EXPECTED = [
    "confidence",
    "confusion",
    "risk_coverage",
    "reliability",
    "roc",
    "precision_recall",
    "baselines",
]


@pytest.fixture
def predictions(make_predictions):
    decision = decide(make_predictions(300, seed=1, prefix="v"))
    table = decision.apply(make_predictions(200))
    return table, summarise(table, decision=decision, photo_size=PHOTO, repeats=50)


def texts(figure):
    return [text.get_text() for text in figure.findobj(lambda a: hasattr(a, "get_text"))]


def test_all_are_drawn_and_can_be_opened(predictions, tmp_path):
    assert figures.make_figures(*predictions, tmp_path) == EXPECTED
    for name in EXPECTED:
        with Image.open(tmp_path / f"{name}.png") as image:
            assert min(image.size) > 300
        assert (tmp_path / f"{name}.svg").stat().st_size > 1000


def test_same_predictions_same_bytes(predictions, tmp_path):
    for folder in ("a", "b"):
        figures.save(figures.confusion_figure(predictions[1]), tmp_path / folder, "confusion")
    for kind in ("png", "svg"):
        first, second = (
            (tmp_path / folder / f"confusion.{kind}").read_bytes() for folder in ("a", "b")
        )
        assert first == second


@pytest.mark.parametrize("synthetic", [True, False])
def test_generated_photos_are_marked_and_only_they(predictions, synthetic):
    figure = figures.confusion_figure(predictions[1])
    figures.finish(figure, synthetic=synthetic)
    assert ("SYNTHETIC photos" in texts(figure)) == synthetic


@pytest.mark.parametrize("classes", [("_a", "_b"), ("_a", "_b", "c")])
def test_legends_name_classes_however_they_begin(make_predictions, classes):
    table = make_predictions(60, classes=classes)
    summary = summarise(table, decision=None, photo_size=PHOTO, repeats=50)
    for make in (figures.roc_figure, figures.precision_recall_figure):
        (legend,) = (axes.get_legend() for axes in make(table, summary).axes)
        named = [line.get_text().split(":")[0] for line in legend.get_texts()]
        shown = classes[1:] if len(classes) == 2 else classes
        assert {f"area of {name}" for name in shown} <= set(named)


def of_rounded(make_predictions, classes):
    """Predictions with few different probabilities, and what follows from them."""
    table = make_predictions(60, classes=classes, sharpness=0.5)
    raw = np.full((60, len(classes)), 0.2)
    raw[np.arange(60), table.raw.argmax(axis=1)] = 1.2 - 0.2 * len(classes)
    table = dataclasses.replace(table, raw=raw, probabilities=raw)
    return table, summarise(table, repeats=50)


@pytest.mark.parametrize("classes", [("a", "b"), ("a", "b", "c")])
def test_the_area_below_a_curve_is_the_number_beside_it(make_predictions, classes):
    table, summary = of_rounded(make_predictions, classes)
    drawn = {"auroc": figures.roc_figure, "average_precision": figures.precision_recall_figure}
    for name, make in drawn.items():
        lines = {
            line.get_label().split(":")[0]: line for line in make(table, summary).axes[0].lines
        }
        for index in range(len(classes))[-1 if len(classes) == 2 else 0 :]:
            line = lines[f"area of {classes[index]}"]
            x, y = line.get_data()
            steps = line.get_drawstyle() == "steps-pre"
            heights = y[1:] if steps else (y[1:] + y[:-1]) / 2
            expected = summary["per_class"][classes[index]][name]["value"]
            assert np.sum(np.diff(x) * heights) == pytest.approx(expected)


def test_bands_lie_around_their_curves_where_scores_are_tied(make_predictions):
    table, summary = of_rounded(make_predictions, ("a", "b"))
    for make in (figures.roc_figure, figures.precision_recall_figure):
        (axes,) = make(table, summary).axes
        (band,) = (each.get_paths()[0].vertices for each in axes.collections)
        line = axes.lines[-1]
        x, y = line.get_data()
        for place in (0.2, 0.4):
            low, high = np.sort(band[np.isclose(band[:, 0], place), 1])[[0, -1]]
            steps = line.get_drawstyle() == "steps-pre"
            height = y[np.searchsorted(x, place)] if steps else np.interp(place, x, y)
            assert low < height < high


def test_confidence_figure_shows_every_photo(predictions):
    table, summary = predictions
    figure = figures.confidence_figure(table, summary)
    shown = sum(len(marks.get_offsets()) for marks in figure.axes[0].collections)
    assert shown == len(table)
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == [f"right: {table.correct.sum()}", f"wrong: {(~table.correct).sum()}"]


def test_confusion_figure_shows_the_counts(predictions):
    summary = predictions[1]
    shown = " ".join(texts(figures.confusion_figure(summary)))
    assert all(str(count) in shown for row in summary["confusion"] for count in row)


def test_the_zoom_is_compared_with_always_calling_the_commonest(predictions):
    table = predictions[0]
    unbalanced = table.rows(np.flatnonzero((table.label == 1) | (np.arange(200) < 50)))
    figure = figures.baselines_figure(summarise(unbalanced, repeats=20))
    (line,) = (line for line in figure.axes[0].lines if line.get_linestyle() == ":")
    assert line.get_xdata()[0] == 100 / 125
    assert "always the commonest class" in texts(figure)


@pytest.fixture
def with_long_names(make_predictions):
    """Predictions of that many classes with long names, and what follows from them."""

    def make(count):
        table = make_predictions(10 * count, classes=LONG_NAMES[:count])
        return table, summarise(table, photo_size=PHOTO, repeats=20)

    return make


def extents(artists):
    return [artist.get_window_extent() for artist in artists]


@pytest.mark.parametrize("count", [2, 3, 7, 12, 30])
def test_names_in_the_confusion_figure_do_not_touch(with_long_names, count):
    with matplotlib.rc_context(figures.STYLE):
        figure = figures.confusion_figure(with_long_names(count)[1])
        figures.finish(figure, synthetic=True)
        figure.draw_without_rendering()
    axes = figure.axes[0]
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [" ".join(label.get_text().split()) for label in labels][:10] == [
            *LONG_NAMES[: min(count, 10)]
        ]
        for one, other in itertools.combinations(extents(labels), 2):
            assert not one.overlaps(other)
    assert {label.get_rotation() for label in axes.get_yticklabels()} == {0}
    numbers = extents(axes.texts)
    assert max(box.width for box in numbers) < axes.bbox.width / count
    assert max(box.height for box in numbers) < axes.bbox.height / count


@pytest.mark.parametrize("count", [3, 7, 12, 30])
@pytest.mark.parametrize("make", [figures.confidence_figure, figures.roc_figure])
def test_legends_of_many_classes_lie_below_inside_the_figure(with_long_names, make, count):
    with matplotlib.rc_context(figures.STYLE):
        figure = make(*with_long_names(count))
        figures.finish(figure, synthetic=True)
        figure.draw_without_rendering()
    (axes,) = figure.axes
    below = make is figures.confidence_figure or count > 3
    assert bool(figure.legends) == below
    assert (axes.get_legend() is None) == below
    assert axes.bbox.height > 2 * figure.dpi
    if below:
        box, mark = extents([*figure.legends, *figure.texts])
        assert not box.overlaps(mark)
        assert box.y1 < axes.get_tightbbox().y0 + 1
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.width
        assert box.y0 >= 0


def test_twelve_classes_differ_by_more_than_their_colour(with_long_names):
    table, summary = with_long_names(12)
    curves = [
        line
        for line in figures.roc_figure(table, summary).axes[0].lines
        if line.get_label() != "chance"
    ]
    assert len({line.get_marker() for line in curves}) == 12
    marks = figures.confidence_figure(table, summary).axes[0].collections[:12]
    assert len({marks.get_paths()[0].vertices.tobytes() for marks in marks}) == 12


def test_what_is_undefined_is_not_drawn(tmp_path):
    table = make_table(
        classes=("a", "b"), file=["1", "2"], label=[0, 0], raw=np.array([[0.9, 0.1], [0.3, 0.7]])
    )
    made = figures.make_figures(table, summarise(table, repeats=20), tmp_path)
    assert not {"roc", "precision_recall", "baselines"} & set(made)
    assert figures.where_figure(table, PHOTO) is None
    assert figures.learning_curves([], None) is None


def test_three_classes_are_drawn(make_predictions, tmp_path):
    table = make_predictions(90, classes=("a", "b", "c"))
    made = figures.make_figures(table, summarise(table, photo_size=PHOTO, repeats=20), tmp_path)
    assert made == EXPECTED


def test_names_are_no_formulas(make_predictions, tmp_path):
    table = make_predictions(40, classes=("$a_$b^", "c$_"), prefix="cost$1_$")
    figures.make_figures(table, summarise(table, photo_size=PHOTO, repeats=20), tmp_path)
    photos = np.zeros((2, *PHOTO, 3), np.uint8)
    with matplotlib.rc_context(figures.STYLE):
        figure = draw_gallery("Surest", table, np.arange(2), photos, photos[:, :42, :63])
    figures.save(figure, tmp_path, "gallery")
    assert (tmp_path / "gallery.png").stat().st_size > 0


def test_learning_curves_show_training_and_validation():
    lines = [{"step": i, "train/loss": 1 / i, "train/accuracy": 0.5} for i in range(1, 40)]
    lines.append({"step": 40, "val/loss": 0.1, "val/accuracy": 0.9})
    figure = figures.learning_curves(lines, 40)
    assert [len(axes.lines) for axes in figure.axes] == [4, 4]


@pytest.mark.parametrize("count", [1, 2, 3, 100])
def test_smoothing_is_a_mean_of_what_is_near(count):
    np.testing.assert_allclose(figures.smooth(np.full(count, 3.0)), np.full(count, 3.0))
    line = np.arange(100.0)
    np.testing.assert_allclose(figures.smooth(line)[3:-3], line[3:-3])


def test_galleries_show_the_surest_and_the_least_sure(predictions):
    table = predictions[0]
    chosen = choose_photos(table, 4)
    right = table.confidence[table.correct]
    assert sorted(table.confidence[chosen["surest_right"]]) == sorted(right)[-4:]
    assert not table.correct[chosen["surest_wrong"]].any()
    assert table.confidence[chosen["least_sure"]].max() <= np.sort(table.confidence)[3]


def test_a_gallery_outlines_no_area_without_bounds(make_predictions):
    table = make_predictions(40)
    table.area[0] = [[np.inf, np.inf], [140, 30], [140, 90], [np.inf, np.inf]]
    photos = np.zeros((2, *PHOTO, 3), np.uint8)
    with matplotlib.rc_context(figures.STYLE):
        figure = draw_gallery("Surest", table, np.arange(2), photos, photos[:, :42, :63])
        figure.draw_without_rendering()
    unbounded, crop_of_it, bounded, crop = figure.axes
    assert len(bounded.lines) - len(unbounded.lines) == 2
    assert crop_of_it.get_xlabel() == "an area without bounds"
    assert crop.get_xlabel().startswith("zoomed")


def is_title(artist, axes):
    return getattr(artist, "get_text", str)() == axes.get_title(loc="left")


@pytest.mark.parametrize("classes", [("eczema", "psoriasis"), LONG_NAMES[4:9:4]])
def test_titles_of_a_gallery_do_not_run_into_each_other(make_predictions, classes):
    table = make_predictions(200, classes=classes)
    places = np.flatnonzero(~table.correct)[:2]
    photos = np.zeros((2, *PHOTO, 3), np.uint8)
    with matplotlib.rc_context(figures.STYLE):
        figure = draw_gallery("Wrong", table, places, photos, photos[:, :42, :63])
        figure.draw_without_rendering()
        answer, area = (
            axes.findobj(lambda artist, axes=axes: is_title(artist, axes))[0]
            for axes in figure.axes[:2]
        )
        assert "truly" in answer.get_text()
        assert answer.get_window_extent().x1 < area.get_window_extent().x0
