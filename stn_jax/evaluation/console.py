"""An evaluation in a few lines, for the terminal."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from stn_jax.evaluation.metrics import commonest
from stn_jax.evaluation.words import answers_always, learned, number, percent, promised


def print_summary(metrics: Mapping[str, Any], console: Console) -> None:
    """Prints counts with their intervals, and what the paper's cutoff and the threshold accept."""
    table = Table(title=Text(_title(metrics)), title_justify="left", title_style="bold")
    table.add_column("")
    table.add_column("photos", justify="right")
    table.add_column("rate", justify="right")
    table.add_column("95 % interval", justify="right")
    for row in _rows(metrics):
        table.add_row(*map(Text, row))
    console.print(table)
    for line in _remarks(metrics):
        console.print(line, markup=False)


def _title(metrics: Mapping[str, Any]) -> str:
    source = metrics["source"]
    kind = "SYNTHETIC photos (no skin)" if metrics["synthetic"] else f"photos of {source}"
    return f"{metrics['n']} {metrics['split']} {kind}"


def _rows(metrics: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    n = metrics["n"]
    yield _counted("right", metrics["accuracy"])
    for name, scores in metrics["per_class"].items():
        yield _counted(f"  of {name}", scores["sensitivity"])
    auroc = metrics["auroc"]
    yield "AUROC", "", number(auroc["value"]), _interval(auroc, number)
    cutoff, chosen = metrics["paper_cutoff"], metrics["selective"]
    sure = f"at least {promised(cutoff['threshold'])} sure"
    yield sure, f"{cutoff['accepted']} of {n}", percent(cutoff["coverage"]), ""
    yield _counted("  of these right", cutoff["accuracy"])
    if chosen["threshold"] is not None:
        yield "answered", f"{chosen['accepted']} of {n}", percent(chosen["coverage"]), ""
        counts = {"count": chosen["correct"], "of": chosen["accepted"]}
        yield _counted("  of these right", {**chosen, **counts, "value": chosen["accuracy"]})


def _counted(name: str, rate: Mapping[str, Any]) -> tuple[str, str, str, str]:
    counts = f"{rate['count']} of {rate['of']}"
    return name, counts, percent(rate["value"]), _interval(rate, percent)


def _interval(interval: Mapping[str, Any], text: Callable[[float], str]) -> str:
    if interval["low"] is None:
        return "-"
    return f"{text(interval['low'])} to {text(interval['high'])}"


def _remarks(metrics: Mapping[str, Any]) -> Iterator[str]:
    if n := metrics["n"]:
        name, count = commonest(metrics["class_counts"])
        yield (
            f"Always calling it the commonest, {name}, would be right for {count} of {n} "
            f"({percent(count / n)})."
        )
    if before := metrics["model"]["learned_before"]:
        yield f"Before its own photos, it had learned from {learned(before)}."
    yield from _when_it_answers(metrics["selective"], metrics["classes"])
    yield from _where_it_looks(metrics["stn"])
    yield from _on_other_crops(metrics)


def _when_it_answers(chosen: Mapping[str, Any], classes: Sequence[str]) -> Iterator[str]:
    if chosen["threshold"] is not None:
        when = f"Answers from {percent(chosen['threshold'])} sure on"
        if answers_always(chosen["threshold"], classes):
            when = "Answers every photo"
        yield (
            f"{when}: decided on validation photos, so that, with "
            f"{promised(chosen['confidence'])} certainty, at most "
            f"{promised(chosen['target_error'])} of answers are wrong."
        )
    elif chosen.get("reason"):
        yield f"No answers: {chosen['reason']}."


def _where_it_looks(stn: Mapping[str, Any]) -> Iterator[str]:
    if stn["zoom"]:
        yield (
            f"Crops span {stn['scale']['mean']:.2f} of the photo's side on average (middle 90 %: "
            f"{stn['scale']['p5']:.2f} to {stn['scale']['p95']:.2f}), a zoom of "
            f"{stn['zoom']['mean']:.1f}x."
        )
    if lesion := stn.get("lesion"):
        hit = lesion["centre_inside"]
        yield (
            f"The lesion's centre is inside the crop in {hit['count']} of {lesion['n']} photos "
            f"({percent(hit['value'])}); IoU with its box {lesion['iou']['mean']:.2f} on average."
        )


def _on_other_crops(metrics: Mapping[str, Any]) -> Iterator[str]:
    n = metrics["n"]
    for name, baseline in metrics["stn"]["baselines"].items():
        words = {"centre": "a fixed centre crop", "whole": "the whole photo, shrunk"}[name]
        yield (
            f"The same weights on {words}: {baseline['correct']} of {n} right "
            f"({percent(baseline['accuracy']['value'])})."
        )
    others = [
        f"{other['name']}, trained by itself: {other['correct']} of {n} "
        f"({percent(other['accuracy']['value'])})"
        for other in metrics.get("compared", ())
    ]
    if others:
        yield (
            f"With {metrics['crop']} {metrics['correct']} of {n} right "
            f"({percent(metrics['accuracy']['value'])}); {'; '.join(others)}."
        )
