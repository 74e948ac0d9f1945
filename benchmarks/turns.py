"""Contestants that take turns in one run: what else the machine does meets all alike."""

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path


def times_as_long(theirs: Sequence[float], ours: Sequence[float]) -> float:
    """The median over the rounds of their time as a multiple of ours."""
    return statistics.median(a / b for a, b in zip(theirs, ours, strict=True))


def add_options(parser: argparse.ArgumentParser, *, rounds: int) -> None:
    """Options of a comparison: how many rounds by default, which clock, and where it is kept."""
    parser.add_argument(
        "--rounds", type=int, default=rounds, help=f"measured rounds (default {rounds})"
    )
    parser.add_argument("--output", type=Path, help="file for the results, as JSON")
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="count the work of all cores, not the time until it is done: for a busy machine",
    )
