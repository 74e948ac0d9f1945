"""What the documentation names exists, and what a run writes is explained."""

import dataclasses
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from stn_jax.config import Config
from stn_jax.evaluation.table import BASELINES, make_table, write_table
from stn_jax.training.workdir import read_metrics

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
RUN = ROOT / "docs" / "run.md"
PACKAGE = ROOT / "stn_jax"
SOURCES = [
    *ROOT.glob("*.py"),
    *(ROOT / "benchmarks").rglob("*.py"),
    *(ROOT / "configs").glob("*.py"),
    *PACKAGE.rglob("*.py"),
]
OTHERS_COMMANDS = re.compile(r"^(?:pip|docker|tensorboard)\b(?:.*\\\n)*.*$", re.MULTILINE)
"""Whose options are not ours."""


def page(function):
    """Runs a test for each page."""
    return pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)(function)


def code_of(path: Path) -> Iterator[str]:
    """Fenced blocks and what stands between backticks."""
    for block, inline in re.findall(r"```.*?\n(.*?)```|`([^`\n]+)`", path.read_text(), re.DOTALL):
        yield block or inline


def named(path: Path, pattern: str) -> set[str]:
    return {name for code in code_of(path) for name in re.findall(pattern, code)}


def config_fields(cls: type = Config, prefix: str = "") -> Iterator[str]:
    """data.root, data.photo_size, ..."""
    for field in dataclasses.fields(cls):
        if dataclasses.is_dataclass(field.type):
            yield from config_fields(field.type, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name


def anchors(path: Path) -> set[str]:
    """How GitHub names the headings of a page."""
    titles = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@page
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        there = path.parent / file if file else path
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


@page
def test_files_exist(path):
    """Modules may be named from the package on, as in `data/scin.py`, and configurations alone."""
    for name in named(path, r"(?<![\w/.-])[\w./-]+\.(?:py|md|toml|txt|yml)\b"):
        folders = (ROOT, PACKAGE, ROOT / "configs", path.parent)
        assert any((folder / name).is_file() for folder in folders), name


@page
def test_modules_and_functions_exist(path):
    for name in named(path, r"(?<![\w./])stn_jax(?:\.\w+)+"):
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute) or is_module(name), name
    for name in named(path, r"python -m (benchmarks\.\w+)"):
        assert (ROOT / name.replace(".", "/")).with_suffix(".py").is_file(), name


def is_module(name: str) -> bool:
    place = ROOT / name.replace(".", "/")
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()


@page
def test_options_of_a_configuration_exist(path):
    """On the command line, `--data.photo-size`, and without, `data.photo_size`."""
    fields = set(config_fields())
    dotted = named(path, r"(?<![\w./-])(?:--)?(?:data|model|train)\.[a-z0-9_.-]*[a-z0-9]")
    for name in dotted - {"train.py"}:
        option = name.removeprefix("--")
        assert not (name.startswith("--") and "_" in option), name
        assert option.replace("-", "_") in fields, name


@page
def test_options_of_programs_exist(path):
    """Each is a field of some program's options, or a literal where argparse reads them."""
    sources = "\n".join(source.read_text() for source in SOURCES)
    ours = "\n".join(OTHERS_COMMANDS.sub("", code) for code in code_of(path))
    for name in set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*(?:\.[a-z0-9-]+)*", ours)) - {"--help"}:
        field = name.removeprefix("--").rpartition(".")[2].replace("-", "_")
        declared = re.search(rf"^    {field}: |\"{name}\"", sources, re.MULTILINE)
        assert declared, name


@page
def test_examples_run(path):
    """One after the other, as somebody who copies them would run them."""
    names = {}
    for example in re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL):
        exec(example, names)


@page
def test_figures_are_drawn(path):
    sources = "\n".join(source.read_text() for source in PACKAGE.rglob("*.py"))
    for name in named(path, r"figures/(\w+)\.png"):
        assert re.search(rf"\"{name}(\.png)?\"", sources), name


def test_what_a_run_writes_is_explained(trained):
    """Its files and folders, and the names in metrics.jsonl."""
    explained = set(code_of(RUN))
    for path in trained.glob("[!.]*"):
        name = f"{path.name}/" if path.is_dir() else path.name
        assert any(code.startswith(name) for code in explained), name
    for values in read_metrics(trained / "metrics.jsonl"):
        for name in values.keys() - {"step"}:
            assert name.partition("/")[2] in explained, name


def test_columns_of_predictions_are_explained(tmp_path):
    table = make_table(
        classes=("benign", "malignant"),
        file=("a.jpg",),
        label=(0,),
        raw=np.array([[0.8, 0.2]]),
        theta=np.zeros((1, 6)),
        baselines={name: np.zeros(1, np.int64) for name in BASELINES},
        metadata={"age": ("40",)},
    )
    write_table(table, tmp_path / "predictions.csv")
    explained = set(code_of(RUN))
    for column in (tmp_path / "predictions.csv").read_text().splitlines()[0].split(","):
        assert {column, f"{column.partition('_')[0]}_"} & explained, column


@pytest.mark.parametrize(
    ("test", "text"),
    [
        (test_links_lead_somewhere, "[here](gone.md)"),
        (test_links_lead_somewhere, "# A title\n[here](#another-title)"),
        (test_files_exist, "`models/gone.py`"),
        (test_modules_and_functions_exist, "`stn_jax.gone`"),
        (test_modules_and_functions_exist, "```\npython -m benchmarks.gone\n```"),
        (test_options_of_a_configuration_exist, "`train.gone 3`"),
        (test_options_of_a_configuration_exist, "```\npython train.py --data.gone-too x\n```"),
        (test_options_of_a_configuration_exist, "`--data.photo_size`"),
        (test_options_of_programs_exist, "`--gone-too`"),
        (test_examples_run, "```python\nimport stn_jax\nstn_jax.gone\n```"),
        (test_figures_are_drawn, "`figures/gone.png`"),
    ],
)
def test_what_does_not_exist_is_found(test, text, tmp_path):
    path = tmp_path / "page.md"
    path.write_text(text)
    with pytest.raises((AssertionError, AttributeError), match=r"gone|title|photo_size"):
        test(path)
