"""Spatial transformers for large medical photos, in JAX and Flax."""

import importlib
from typing import Any

from stn_jax.config import Config
from stn_jax.models import LocalizationNet, SpatialTransformer, STNClassifier, VGGLite
from stn_jax.sampling import (
    affine_grid,
    grid_sample,
    projective_grid,
    spatial_transform,
    thin_plate_spline_grid,
)
from stn_jax.version import __version__

__all__ = [
    "Config",
    "LocalizationNet",
    "STNClassifier",
    "SpatialTransformer",
    "VGGLite",
    "__version__",
    "affine_grid",
    "evaluate",
    "grid_sample",
    "load_predictor",
    "projective_grid",
    "spatial_transform",
    "thin_plate_spline_grid",
    "train",
]

_LOADED_ON_USE = {
    "train": "stn_jax.training.loop",
    "evaluate": "stn_jax.evaluation.evaluate",
    "load_predictor": "stn_jax.evaluation.predictor",
}


def __getattr__(name: str) -> Any:
    # Whoever wants only the sampler need not wait for Orbax, Grain and TFDS to load.
    if name not in _LOADED_ON_USE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LOADED_ON_USE[name]), name)
