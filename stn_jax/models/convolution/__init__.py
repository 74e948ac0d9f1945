"""Convolutions that are quick on a CPU, too, and their gradients."""

from stn_jax.models.convolution.convolve import conv_general_dilated

__all__ = ["conv_general_dilated"]
