"""Spatial transformers for large medical photos, in JAX and Flax."""

import importlib
from typing import Any

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

_HOMES = {
    "Config": "stn_jax.config",
    "LocalizationNet": "stn_jax.models",
    "STNClassifier": "stn_jax.models",
    "SpatialTransformer": "stn_jax.models",
    "VGGLite": "stn_jax.models",
    "affine_grid": "stn_jax.sampling",
    "evaluate": "stn_jax.evaluation.evaluate",
    "grid_sample": "stn_jax.sampling",
    "load_predictor": "stn_jax.evaluation.predictor",
    "projective_grid": "stn_jax.sampling",
    "spatial_transform": "stn_jax.sampling",
    "thin_plate_spline_grid": "stn_jax.sampling",
    "train": "stn_jax.training.loop",
}


def __getattr__(name: str) -> Any:
    # Loaded on use: the command line answers before JAX is there, and whoever wants only the
    # sampler does not wait for Orbax, Grain and TFDS.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
