"""Flax modules: the localization net, the transformer and the classifier."""

from stn_jax.models.classifier import STNClassifier, make_model
from stn_jax.models.localization import LocalizationNet
from stn_jax.models.transformer import SpatialTransformer
from stn_jax.models.vgg import VGGLite

__all__ = ["LocalizationNet", "STNClassifier", "SpatialTransformer", "VGGLite", "make_model"]
