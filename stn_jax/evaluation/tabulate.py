"""A split through the predictor, into a table: every photo once, in the split's order."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from stn_jax.data.photo import load_photo, photo_options
from stn_jax.data.pipeline import Split
from stn_jax.evaluation import geometry
from stn_jax.evaluation.baselines import baseline_theta
from stn_jax.evaluation.predictor import Predictor, chunks
from stn_jax.evaluation.table import BASELINES, PredictionTable, TableError, make_table


class _Masks:
    """The masks in a folder: named as the photos are, or after the photos without their folders."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._claimed: dict[Path, str] = {}

    def find(self, file: str) -> Path | None:
        """The photo's mask; None without one.

        Raises:
          TableError: when it may as well be another photo's.
        """
        name = Path(file)
        own, flat = self._folder / name.with_suffix(".png"), self._folder / f"{name.stem}.png"
        if own.is_file():
            return own
        if not flat.is_file():
            return None
        other = self._claimed.setdefault(flat, file)
        if other != file:
            raise TableError(
                f"--masks: {flat} may belong to {other} or to {file}: put masks into folders as "
                "the photos are"
            )
        return flat


def tabulate(
    predictor: Predictor,
    split: Split,
    *,
    baselines: bool = True,
    masks: Path | None = None,
    on_photos: Callable[[int], None] = lambda count: None,
) -> PredictionTable:
    """Predicts every photo of a split.

    Args:
      predictor: the model.
      split: prepared photos.
      baselines: also show the same weights a fixed centre crop and the whole photo, shrunk.
      masks: folder of lesion masks named after the photos, white on black; they take the place of
        the lesion boxes that the photos bring along.
      on_photos: called with the number of photos just done.

    Raises:
      TableError: when no mask belongs to any of the photos, or one to two of them.
      PhotoError: when a mask cannot be read.
    """
    thetas = _baseline_thetas(predictor) if baselines else {}
    finder = None if masks is None else _Masks(masks)
    columns: dict[str, list[Any]] = {}
    for items in chunks(split):
        for name, values in _rows(predictor, items, thetas, finder).items():
            columns.setdefault(name, []).extend(values)
        on_photos(len(items))
    if masks is not None and not np.isfinite(columns["lesion"]).any():
        raise TableError(f"--masks {masks}: holds no mask named after any of the photos")
    return make_table(
        classes=predictor.run.classes,
        file=columns["file"],
        label=columns["label"],
        raw=np.array(columns["raw"]),
        group=np.array(columns["group"], object),
        theta=np.array(columns["theta"], np.float64),
        area=np.array(columns["area"], np.float64),
        lesion=np.array(columns["lesion"], np.float64),
        lesion_inside=np.array(columns["lesion_inside"], np.float64),
        baselines={name: np.array(columns[name], np.int64) for name in thetas},
        # What generated photos carry is their number, which describes nobody.
        metadata={} if predictor.run.synthetic else _metadata(columns["metadata"]),
    )


def _baseline_thetas(predictor: Predictor) -> dict[str, np.ndarray]:
    config, transformer = predictor.run.config, predictor.model.transformer
    if transformer.fixed:
        return {}  # it is a baseline itself
    return {
        name: baseline_theta(
            name,
            transform=transformer.family,
            photo_size=config.data.photo_size,
            crop_size=config.model.crop_size,
            points=config.model.control_points**2,
        )
        for name in BASELINES
    }


def _rows(
    predictor: Predictor,
    items: Sequence[Mapping[str, Any]],
    thetas: Mapping[str, np.ndarray],
    masks: _Masks | None,
) -> dict[str, Sequence[Any]]:
    photos = np.stack([item["photo"] for item in items])
    reading = predictor.read(photos)
    lesions = [
        _lesion(area, item, predictor, masks)
        for area, item in zip(reading.area.astype(np.float64), items, strict=True)
    ]
    others = {
        name: predictor.read(photos, theta=theta).raw.argmax(axis=1)
        for name, theta in thetas.items()
    }
    return {
        "file": [item["file"] for item in items],
        "group": [item["group"] for item in items],
        "label": [item["label"] for item in items],
        "metadata": [json.loads(item["metadata"]) for item in items],
        "raw": list(reading.raw),
        "theta": list(reading.theta.reshape(len(items), -1)),
        "area": list(reading.area),
        "lesion": [lesion for lesion, _ in lesions],
        "lesion_inside": [inside for _, inside in lesions],
        **others,
    }


def _lesion(
    area: Float[np.ndarray, "4 2"],
    item: Mapping[str, Any],
    predictor: Predictor,
    masks: _Masks | None,
) -> tuple[Float[np.ndarray, "4"], float]:
    """The lesion's box, and its share inside the area of interest; NaN where unknown."""
    if masks is not None:
        found = masks.find(item["file"])
        if found is None:
            return np.full(4, np.nan), np.nan
        mask = _load_mask(found, predictor)
        share = geometry.share_of_mask(area, mask)
        return geometry.mask_box(mask), np.nan if share is None else share
    box = item["box"].astype(np.float64)
    if not np.isfinite(box).all() or not geometry.is_bounded(area):
        return box, np.nan
    return box, geometry.lesion_overlap(area, box)[0]


def _load_mask(path: Path, predictor: Predictor) -> Bool[np.ndarray, "h w"]:
    """A mask, taken the same way to the same size as the photo."""
    options = photo_options(predictor.run.config.data)
    photo = load_photo(path, fill_color=(0.0, 0.0, 0.0), **options)
    return photo.pixels[..., 0] > 127


def _metadata(rows: Sequence[Mapping[str, str]]) -> dict[str, tuple[str, ...]]:
    names = sorted({name for row in rows for name in row})
    return {name: tuple(str(row.get(name, "")) for row in rows) for name in names}
