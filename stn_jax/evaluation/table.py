"""The predictions of a split, one photo a row: the one source of every metric and figure."""

import csv
import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from stn_jax.data.errors import DataError
from stn_jax.evaluation.calibration import apply_temperature
from stn_jax.evaluation.metrics import check_probabilities

CORNERS = tuple(f"area_{axis}{corner}" for corner in range(4) for axis in "xy")
LESION = ("lesion_x0", "lesion_y0", "lesion_x1", "lesion_y1")
BASELINES = ("centre", "whole")
"""What else the same weights were shown: a fixed centre crop, and the whole photo shrunk."""


class TableError(DataError):
    """A predictions file that cannot be used, with the line at fault."""


@dataclasses.dataclass(frozen=True)
class PredictionTable:
    """Predictions of one split, in the split's order, each photo once.

    Positions are in pixels of the photo at the size the model reads; NaN where unknown.
    """

    classes: tuple[str, ...]
    file: tuple[str, ...]
    group: Shaped[np.ndarray, " photo"]
    """Who or what a photo belongs with (a patient); "" where unknown."""
    label: Int[np.ndarray, " photo"]
    raw: Float[np.ndarray, "photo label"]
    """Probabilities as the network gives them."""
    probabilities: Float[np.ndarray, "photo label"]
    """Calibrated ones; the same as `raw` until `calibrated` is called."""
    accepted: Bool[np.ndarray, " photo"]
    theta: Float[np.ndarray, "photo entry"]
    area: Float[np.ndarray, "photo 4 2"]
    """Corners of the area of interest, clockwise from the crop's top left."""
    lesion: Float[np.ndarray, "photo 4"]
    lesion_inside: Float[np.ndarray, " photo"]
    """Share of the lesion inside the area of interest, in [0, 1]; by mask where there is one."""
    baselines: Mapping[str, Int[np.ndarray, " photo"]]
    """Predicted classes under each of `BASELINES`, where they were run."""
    metadata: Mapping[str, tuple[str, ...]]

    def __post_init__(self):
        _check_lengths(self)
        check_probabilities(self.raw, self.file)
        check_probabilities(self.probabilities, self.file)
        _check_lesions(self)
        seen: set[str] = set()
        for file in self.file:
            if file in seen:
                raise TableError(f"{file} appears twice: every photo must be counted once")
            seen.add(file)

    def __len__(self) -> int:
        return len(self.file)

    @property
    def predicted(self) -> Int[np.ndarray, " photo"]:
        """The likeliest class; the first of equally likely ones."""
        return self.raw.argmax(axis=1)

    @property
    def confidence(self) -> Float[np.ndarray, " photo"]:
        """Calibrated probability of the predicted class."""
        return self.probabilities[np.arange(len(self)), self.predicted]

    @property
    def correct(self) -> Bool[np.ndarray, " photo"]:
        """Whether the predicted class is the label."""
        return self.predicted == self.label

    def calibrated(self, *, temperature: float, threshold: float | None) -> "PredictionTable":
        """The same predictions with this temperature, accepted from `threshold` on; None: none."""
        probabilities = apply_temperature(self.raw, temperature)
        table = dataclasses.replace(self, probabilities=probabilities)
        accepted = np.zeros(len(self), bool) if threshold is None else table.confidence >= threshold
        return dataclasses.replace(table, accepted=accepted)

    def rows(self, indices: Shaped[np.ndarray, " row"]) -> "PredictionTable":
        """The photos at `indices` only."""
        arrays = ("group", "label", "raw", "probabilities", "accepted", "theta", "area")
        changes = {name: getattr(self, name)[indices] for name in arrays}
        changes |= {name: getattr(self, name)[indices] for name in ("lesion", "lesion_inside")}
        return dataclasses.replace(
            self,
            file=tuple(np.array(self.file, object)[indices]),
            baselines={k: v[indices] for k, v in self.baselines.items()},
            metadata={k: tuple(np.array(v, object)[indices]) for k, v in self.metadata.items()},
            **changes,
        )


def make_table(
    *,
    classes: Sequence[str],
    file: Sequence[str],
    label: Sequence[int] | Int[np.ndarray, " photo"],
    raw: Float[np.ndarray, "photo label"],
    **known,
) -> PredictionTable:
    """A table from what must be known; `known` gives further fields, the rest are unknown."""
    n = len(file)
    unknown = {
        "group": np.full(n, "", object),
        "probabilities": raw,
        "accepted": np.zeros(n, bool),
        "theta": np.zeros((n, 0)),
        "area": np.full((n, 4, 2), np.nan),
        "lesion": np.full((n, 4), np.nan),
        "lesion_inside": np.full(n, np.nan),
        "baselines": {},
        "metadata": {},
    }
    return PredictionTable(
        classes=tuple(classes),
        file=tuple(file),
        label=np.asarray(label, np.int64),
        raw=raw,
        **(unknown | known),
    )


def write_table(table: PredictionTable, path: str | Path) -> None:
    """Writes a table as CSV; `read_table` gives back the same to the last bit."""
    names = np.array(table.classes, object)
    columns: dict[str, Sequence] = {
        "file": table.file,
        "group": table.group,
        "label": names[table.label],
        "predicted": names[table.predicted],
    }
    columns |= {f"prob_{c}": table.probabilities[:, i] for i, c in enumerate(table.classes)}
    columns |= {f"raw_{c}": table.raw[:, i] for i, c in enumerate(table.classes)}
    columns |= {"confidence": table.confidence, "accepted": table.accepted}
    columns |= {f"theta_{i}": column for i, column in enumerate(table.theta.T)}
    columns |= dict(zip(CORNERS, table.area.reshape(len(table), 8).T, strict=True))
    columns |= dict(zip(LESION, table.lesion.T, strict=True))
    columns["lesion_inside"] = table.lesion_inside
    columns |= {f"{b}_predicted": names[index] for b, index in table.baselines.items()}
    columns |= {f"meta_{key}": values for key, values in table.metadata.items()}
    with open(path, "w", newline="", encoding="utf-8") as file:
        # With another end of line, a carriage return inside a text would not be quoted.
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(columns)
        writer.writerows(zip(*(map(_to_text, values) for values in columns.values()), strict=True))


def read_table(path: str | Path) -> PredictionTable:
    """Reads predictions; of the columns only file, label and prob_<class> are needed.

    Raises:
      TableError: naming the file and the column or line at fault.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            header, *lines = csv.reader(file)
    except (OSError, csv.Error, ValueError) as error:
        raise TableError(f"{path}: not a table of predictions ({error})") from error
    # Programs leave columns without a name, which nothing reads.
    twice = next((name for i, name in enumerate(header) if name and name in header[:i]), None)
    if twice is not None:
        raise TableError(f"{path}: column {twice!r} appears twice")
    for number, line in enumerate(lines, start=2):
        if len(line) != len(header):
            raise TableError(f"{path} line {number}: {len(line)} values, {len(header)} columns")
    columns = {name: [line[i] for line in lines] for i, name in enumerate(header)}
    try:
        return _from_columns(columns)
    except ValueError as error:
        raise TableError(f"{path}: {error}") from error


def _from_columns(columns: Mapping[str, list[str]]) -> PredictionTable:
    for needed in ("file", "label"):
        if needed not in columns:
            raise TableError(f"no column {needed!r}; it needs file, label and prob_<class>")
    classes = list(_prefixed(columns, "prob_"))
    if len(classes) < 2:
        raise TableError("fewer than two columns prob_<class>")
    probabilities = _numbers(columns, [f"prob_{c}" for c in classes])
    raws = [f"raw_{c}" for c in classes]
    return make_table(
        classes=classes,
        file=columns["file"],
        label=_to_index(columns["label"], classes),
        raw=_numbers(columns, raws) if set(raws) <= columns.keys() else probabilities,
        probabilities=probabilities,
        baselines={
            b: _to_index(columns[f"{b}_predicted"], classes)
            for b in BASELINES
            if f"{b}_predicted" in columns
        },
        metadata={key: tuple(values) for key, values in _prefixed(columns, "meta_").items()},
        **_where_known(columns),
    )


def _where_known(columns: Mapping[str, list[str]]) -> dict[str, object]:
    """Fields of a table that may be absent, and mean nothing then."""
    n = len(columns["file"])
    entries = sorted(_prefixed(columns, "theta_"), key=int)
    known: dict[str, object] = {"theta": _numbers(columns, [f"theta_{i}" for i in entries])}
    if "group" in columns:
        known["group"] = np.array(columns["group"], object)
    if "accepted" in columns:
        known["accepted"] = np.array([_to_bool(text) for text in columns["accepted"]], bool)
    if set(CORNERS) <= columns.keys():
        known["area"] = _numbers(columns, CORNERS).reshape(n, 4, 2)
    if set(LESION) <= columns.keys():
        known["lesion"] = _numbers(columns, LESION)
    if "lesion_inside" in columns:
        known["lesion_inside"] = _numbers(columns, ["lesion_inside"])[:, 0]
    return known


def _prefixed(columns: Mapping[str, list[str]], prefix: str) -> dict[str, list[str]]:
    """The columns whose names begin so, by the rest of their names."""
    return {
        name.removeprefix(prefix): values
        for name, values in columns.items()
        if name.startswith(prefix)
    }


def _numbers(
    columns: Mapping[str, list[str]], names: Sequence[str]
) -> Float[np.ndarray, "photo column"]:
    values = [[_to_float(text, name) for text in columns[name]] for name in names]
    return np.array(values, np.float64).reshape(len(names), len(columns["file"])).T


def _to_text(value: object) -> str:
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (float, np.floating)):
        return "" if math.isnan(value) else repr(float(value))
    return str(value)


def _to_float(text: str, name: str) -> float:
    try:
        return float(text) if text else math.nan
    except ValueError:
        raise TableError(f"column {name}: {text!r} is not a number") from None


def _to_bool(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise TableError(f"column accepted: {text!r} is neither true nor false")
    return text.lower() == "true"


def _to_index(names: Sequence[str], classes: Sequence[str]) -> Int[np.ndarray, " photo"]:
    index = {name: i for i, name in enumerate(classes)}
    unknown = sorted(set(names) - index.keys())
    if unknown:
        raise TableError(f"class {unknown[0]!r} has no column prob_{unknown[0]}")
    return np.array([index[name] for name in names], np.int64)


def _check_lengths(table: PredictionTable) -> None:
    n = len(table.file)
    for name in ("group", "label", "raw", "probabilities", "accepted", "theta", "area", "lesion"):
        if len(getattr(table, name)) != n:
            raise TableError(f"{name} holds {len(getattr(table, name))} photos, file {n}")
    for name, values in (table.baselines | table.metadata).items():
        if len(values) != n:
            raise TableError(f"{name} holds {len(values)} photos, file {n}")


def _check_lesions(table: PredictionTable) -> None:
    x0, y0, x1, y1 = table.lesion.T
    flat = np.flatnonzero((x1 <= x0) | (y1 <= y0))
    if flat.size:
        raise TableError(
            f"{table.file[flat[0]]}: lesion_x0 and lesion_y0 must be less than lesion_x1 and "
            "lesion_y1; leave all four empty where there is no lesion"
        )
