"""Spatial transformers for large medical photos, in JAX and Flax."""

from stn_jax.config import Config
from stn_jax.version import __version__

__all__ = ["Config", "__version__"]
