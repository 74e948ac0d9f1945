"""The tables of docs/results.md hold what the benchmarks wrote."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "results.md").read_text()
NETWORKS = {
    "identity": "CNN",
    "affine": "ST-CNN affine",
    "attention": "ST-CNN attention",
    "projective": "ST-CNN projective",
    "tps": "ST-CNN thin-plate spline",
}


def read(name: str) -> dict[str, Any]:
    return json.loads((ROOT / "benchmarks" / "results" / name).read_text())


def digits_row(row: Mapping[str, Any]) -> str:
    network = NETWORKS[row["transform"]] + (", heat map" if row["head"] == "heatmap" else "")
    errors = ", ".join(f"{error:.2f}" for error in row["errors"])
    counts = f"{row['wrong']} of {row['digits']:,}"
    low, high = row["interval"]
    cells = (row["task"], network, f"{row['mean']:.2f} %", errors, counts)
    return f"| {' | '.join(cells)} | {low:.2f} to {high:.2f} % |"


@pytest.mark.parametrize("name", ["mnist.json", "mnist-long.json"])
def test_digits(name):
    for row in read(name)["rows"]:
        assert digits_row(row) in PAGE


@pytest.mark.parametrize(
    ("task", "name", "file"),
    [
        ("R", "rotated", "mnist-long.json"),
        ("RTS", "rotated, scaled, shifted", "mnist-long.json"),
        ("P", "projected", "mnist-long.json"),
        ("E", "bent", "mnist-long.json"),
        ("TC", "shifted in clutter, 60x60", "mnist.json"),
    ],
)
def test_digits_in_the_readme(task, name, file):
    shown = [row for row in read(file)["rows"] if row["task"] == task]
    if task == "TC":  # with the head that is the default
        shown = [row for row in shown if row["head"] != "dense" and row["transform"] != "attention"]
    line = re.search(rf"^\| {name} \|.*$", (ROOT / "README.md").read_text(), re.MULTILINE).group()
    cells = [cell.strip() for cell in line.split("|")[2:-1]]
    columns = ("identity", "affine", "projective", "tps")
    for row in shown:
        cell = f"{row['mean']:.2f} ({row['published']})"
        assert cells[columns.index(row["transform"])] == cell


def counted(part: Mapping[str, Any], digits: int) -> str:
    value, low, high = (f"{100 * part[name]:.{digits}f}" for name in ("value", "low", "high"))
    return f"{part['count']} ({value} %, {low} to {high})"


def area(result: Mapping[str, Any]) -> str:
    mean = result["auroc"]["mean"]
    return f"{mean['value']:.3f} ({mean['low']:.3f} to {mean['high']:.3f})"


def photo_rows(name: str) -> Iterator[str]:
    written = read(name)
    for result, without in zip(written["results"], written["results_without"], strict=True):
        found = [counted(part, 0) for part in result["found"].values()]
        cells = [counted(result["right"], 1), *found, area(result), area(without)]
        yield f"| {' | '.join(cells)} |"


@pytest.mark.parametrize("name", ["folds-small.json", "folds-lesions.json", "folds-seed-1.json"])
def test_photos(name):
    for row in photo_rows(name):
        assert row in PAGE


def test_photos_in_the_table_before():
    for result in read("folds.json")["results"]:
        found = [counted(part, 0) for part in result["found"].values()]
        assert f"| {' | '.join([counted(result['right'], 1), *found, area(result)])} |" in PAGE


SCENES = {
    "third-16": "210x315 to 70x105 | 16",
    "paper-4": "630x945 to 210x315 | 4",
    "paper-15": "630x945 to 210x315 | 15",
}


def step_row(scene: str, rows: list[Mapping[str, Any]], *, compiling: bool) -> str:
    by_name = {row["contestant"]: row for row in rows}
    ours = by_name.pop("ours")
    quickest = min(by_name.values(), key=lambda row: row["times_as_long"])
    seconds = f"{ours['seconds']:.2f} | {quickest['seconds']:.2f} | {quickest['times_as_long']:.2f}"
    memory = ", ".join(f"{row['megabytes'] / 1000:.1f}" for row in (ours, quickest))
    line = f"| {SCENES[scene]} | {seconds} | {memory} |"
    if not compiling:
        return line
    first = by_name["torch compiled contiguous"]
    return f"{line} {ours['compile_seconds']:.1f}, {first['compile_seconds']:.1f} |"


@pytest.mark.parametrize(("name", "compiling"), [("step.json", True), ("step-intel.json", False)])
def test_steps(name, compiling):
    for scene, found in read(name).items():
        assert step_row(scene, found["rows"], compiling=compiling) in PAGE
