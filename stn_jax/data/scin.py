"""Google's SCIN release: photos that people donated, with dermatologists' weighted labels.

Ward et al. 2024, "Crowdsourcing Dermatology Images with Google Search Ads", arXiv:2402.18545. The
columns are described in the release's dataset_schema.md.
"""

import ast
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from stn_jax.config import ScinConfig
from stn_jax.data.errors import DataError
from stn_jax.data.folder import Entry, Listing, explained, read_rows, why_not

CASES, LABELS, IMAGES = "scin_cases.csv", "scin_labels.csv", "images"
EXPECTED = (
    f"expected {CASES}, {LABELS} and {IMAGES}/ of the SCIN release; docs/data.md says how to get it"
)

_PATHS = tuple(f"image_{number}_path" for number in (1, 2, 3))
_VOTES = tuple(f"dermatologist_gradable_for_skin_condition_{number}" for number in (1, 2, 3))
_WEIGHTS = "weighted_skin_condition_label"
# The schema calls the votes true or false; the tables of release 1.0.0 spell them out.
_GRADABLE = {"DEFAULT_YES_IMAGE_QUALITY_SUFFICIENT", "TRUE", "YES"}
_OF_CASE = {
    "age_group": "age_group",
    "sex": "sex_at_birth",
    "skin_type": "fitzpatrick_skin_type",
}
_OF_LABEL = {"skin_tone": "monk_skin_tone_label_us"}


def list_scin(root: Path, config: ScinConfig) -> Listing:
    """Lists the photos of the cases in question; a case is a group, so it stays in one split.

    A case counts when its foremost condition is one of `config.conditions`, alone at the top, with
    at least `config.min_weight`, and a dermatologist found the photos good enough to tell. Self-
    reported skin type, age and sex, and the skin tone that US graders saw, become metadata.

    Raises:
      DataError: when tables or columns are missing or unreadable, or a condition has no case.
    """
    with explained():
        return _list(root, config)


def _list(root: Path, config: ScinConfig) -> Listing:
    for table in (CASES, LABELS):
        if not (root / table).is_file():
            raise DataError(f"--data.root {root}: no {table} in it; {EXPECTED}")
    wanted, warnings = _labelled_cases(root, config)
    entries, refused = [], {}
    for case in _cases(root):
        condition, metadata = wanted.get(case["case_id"], ("", {}))
        metadata = metadata | {name: case[column] for name, column in _OF_CASE.items()}
        for path in filter(None, (case[column] for column in _PATHS)) if condition else ():
            file = f"{IMAGES}/{PurePosixPath(path).name}"
            entry = Entry(file, condition, group=case["case_id"], metadata=metadata)
            if reason := _why_not(root, file):
                refused[file] = reason
            else:
                entries.append(entry)
    return Listing(
        entries=tuple(sorted(entries, key=lambda entry: entry.file)),
        classes=tuple(sorted(config.conditions)),
        refused=refused,
        ignored=(),
        warnings=warnings,
    )


def parse_weights(text: str) -> dict[str, float]:
    """Reads a condition -> weight literal such as "{'Eczema': 0.69}"; nothing in it is executed.

    Raises:
      ValueError: for anything else.
    """
    try:
        value = ast.literal_eval(text or "{}")
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(f"not a dictionary: {text[:40]}") from error
    if not isinstance(value, dict):
        raise ValueError(f"not a dictionary: {text[:40]}")
    for name, weight in value.items():
        is_weight = isinstance(weight, int | float) and math.isfinite(weight)
        if not isinstance(name, str) or not is_weight:
            raise ValueError(f"not a condition and its weight: {name!r}: {weight!r}")
    return {name: float(weight) for name, weight in value.items()}


def _labelled_cases(
    root: Path, config: ScinConfig
) -> tuple[dict[str, tuple[str, dict[str, str]]], tuple[str, ...]]:
    """Cases that count, with their condition and metadata, and warnings."""
    found, damaged, foremost = {}, [], Counter()
    columns = {"case_id", _WEIGHTS, *_VOTES, *_OF_LABEL.values()}
    for _, row in read_rows(root / LABELS, columns):
        try:
            weights = parse_weights(row[_WEIGHTS])
        except ValueError:
            damaged.append(row["case_id"])
            continue
        condition = _foremost(weights, config.min_weight)
        if condition and any(row[vote].upper() in _GRADABLE for vote in _VOTES):
            foremost[condition] += 1
            if condition in config.conditions:
                metadata = {
                    name: row[column].removesuffix(".0") for name, column in _OF_LABEL.items()
                }
                found[row["case_id"]] = (condition, metadata)
    for condition in config.conditions:
        if not foremost[condition]:
            common = ", ".join(f"{name} ({count})" for name, count in foremost.most_common(8))
            raise DataError(
                f"--data.scin.conditions {condition}: the foremost condition of no case in {root}; "
                f"the most frequent are {common or 'none'}"
            )
    if not damaged:
        return found, ()
    return found, (f"{len(damaged)} cases have unreadable labels, such as {damaged[0]}",)


def _foremost(weights: Mapping[str, float], least: float) -> str:
    """The condition with the largest weight, or "" where it is too small or shared."""
    largest = max(weights.values(), default=0.0)
    names = [name for name, weight in weights.items() if weight == largest]
    return names[0] if largest >= least and len(names) == 1 else ""


def _cases(root: Path) -> Iterator[dict[str, str]]:
    columns = {"case_id", *_PATHS, *_OF_CASE.values()}
    return (row for _, row in read_rows(root / CASES, columns))


def _why_not(root: Path, file: str) -> str:
    path = root / file
    return why_not(path, root) if path.exists() else "no such file: was the download complete?"
