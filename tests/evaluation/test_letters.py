"""Class names in other scripts."""

from types import SimpleNamespace

import pytest

from stn_jax.evaluation import letters
from stn_jax.evaluation.figures import STYLE

LATIN = ("Ekzem", "psoriasis", "экзема")


@pytest.fixture
def only_the_first(monkeypatch):
    monkeypatch.setattr(letters, "families", lambda: ["DejaVu Sans"])


@pytest.mark.usefixtures("only_the_first")
def test_letters_that_no_font_has_are_found():
    assert letters.undrawable([*LATIN, "湿疹", "疹\n"]) == "湿疹"
    assert letters.undrawable(LATIN) == ""


def test_fonts_of_other_scripts_are_asked_where_they_are_installed(monkeypatch):
    installed = [SimpleNamespace(name=name) for name in ("Noto Sans CJK SC", "Comic Sans MS")]
    manager = SimpleNamespace(ttflist=installed)
    monkeypatch.setattr(letters.font_manager, "fontManager", manager)
    assert letters.families() == ["DejaVu Sans", "Noto Sans CJK SC"]


def test_every_figure_is_drawn_with_them():
    assert STYLE["font.family"] == letters.families()
