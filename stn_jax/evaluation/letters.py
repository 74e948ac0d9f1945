"""Letters of every script in figures: classes are called what the clinic calls them."""

import warnings
from collections.abc import Iterable

from matplotlib import font_manager

_FIRST = "DejaVu Sans"
"""Comes with matplotlib, with Latin, Greek, Cyrillic, Arabic and Hebrew letters."""
_OTHERS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Source Han Sans SC",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
    "Droid Sans Fallback",
    "Microsoft YaHei",
    "SimHei",
    "PingFang SC",
    "Hiragino Sans",
    "Yu Gothic",
    "Malgun Gothic",
    "Apple SD Gothic Neo",
    "Nanum Gothic",
    "Noto Sans Devanagari",
    "Nirmala UI",
    "Noto Sans Thai",
    "Leelawadee UI",
)
"""Of other scripts, as they are called on Linux, Windows and macOS."""

# Said once by whoever draws, with what to do, instead of for each letter of each figure.
warnings.filterwarnings("ignore", message="Glyph .* missing from font")


def families() -> list[str]:
    """Fonts to draw with, those first that are asked for a letter first; all are installed."""
    installed = {font.name for font in font_manager.fontManager.ttflist}
    return [_FIRST, *(family for family in _OTHERS if family in installed)]


def undrawable(texts: Iterable[str]) -> str:
    """The letters of `texts` that no font has: figures show boxes in their place."""
    fonts = [font_manager.get_font(font_manager.findfont(family)) for family in families()]
    letters = sorted(set("".join(texts)))
    return "".join(
        letter
        for letter in letters
        if letter.isprintable() and not any(font.get_char_index(ord(letter)) for font in fonts)
    )
