"""The convolution of the networks: XLA's, computed and differentiated otherwise on a CPU."""

import functools
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import jax
from jax import lax
from jaxtyping import Array, Float

from stn_jax.models.convolution import direct, pieces, rows, winograd
from stn_jax.models.convolution.direct import Padding
from stn_jax.sampling.divided import is_typed_as_divided, varies_over_devices


def conv_general_dilated(
    images: Float[Array, "batch height width channel"],
    kernel: Float[Array, "rows columns _ feature"],
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    **options: Any,
) -> Float[Array, "batch out_height out_width feature"]:
    """`jax.lax.conv_general_dilated`, quicker on a CPU; for `flax.linen.Conv`.

    There, windows of three rows take half the multiplications (`winograd`), and so do both their
    gradients. The others go to whichever of XLA's two libraries is the quicker (`direct`); and the
    gradient of their kernels, whose window is a whole image and whose channels are the images, far
    apart in memory, is added up over pieces that stay in the cache (`pieces`), or, of few channels,
    over the rows of the window (`rows`). In a loop (`train.accumulate`) XLA's CPU backend is quick
    in one layout only, in which all are written.

    The layout is Flax's, NHWC and HWIO. There is no forward mode (`jax.jvp`). A convolution with
    any other option than dimension numbers, or more padding than its window reaches, or of no image
    at all or images smaller than the window, is XLA's; so is one of arrays whose types say how they
    are divided over devices (`jax.sharding.AxisType.Explicit`, or inside `jax.shard_map`).
    """
    others = (value for name, value in options.items() if name != "dimension_numbers")
    plain = all(value in (None, 1, (1, 1)) for value in (*others, window_strides))
    divided = any(is_typed_as_divided(a) or varies_over_devices(a) for a in (images, kernel))
    if images.size and plain and not divided:
        sides = _sides(images, kernel, padding)
        if all(
            min(side) >= 0 and max(side) < reach <= length + sum(side)
            for length, reach, side in zip(images.shape[1:3], kernel.shape[:2], sides, strict=True)
        ):
            return _convolve(images, kernel, sides)
    return lax.conv_general_dilated(images, kernel, window_strides, padding, **options)


def _sides(images: Array, kernel: Array, padding: str | Sequence[tuple[int, int]]) -> Padding:
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(images.shape[1:3], kernel.shape[:2], (1, 1), padding)
    return Padding(*map(tuple, padding))


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _convolve(images: Array, kernel: Array, padding: Padding) -> Array:
    return lax.platform_dependent(
        images,
        kernel,
        cpu=functools.partial(_convolve_on_cpu, padding=padding),
        default=functools.partial(direct.convolve, padding=padding),
    )


def _convolve_on_cpu(images: Array, kernel: Array, padding: Padding) -> Array:
    if winograd.suits(images, kernel.shape, padding):
        return winograd.convolve(images, kernel, padding)
    return direct.convolve_on_cpu(images, kernel, padding)


def _forward(images: Array, kernel: Array, padding: Padding) -> tuple[Array, tuple[Array, Array]]:
    return _convolve(images, kernel, padding), (images, kernel)


def _backward(
    padding: Padding, inputs: tuple[Array, Array], cotangent: Array
) -> tuple[Array, Array]:
    def on_cpu(images: Array, kernel: Array, cotangent: Array) -> tuple[Array, Array]:
        way = _way_to_gradient(images, kernel, padding)
        of_kernel = way.gradient_of_kernel(images, cotangent, kernel.shape[:2], padding)
        return _gradient_on_cpu(cotangent, kernel, padding), of_kernel.astype(kernel.dtype)

    def by_xla(images: Array, kernel: Array, cotangent: Array) -> tuple[Array, Array]:
        _, gradients = jax.vjp(functools.partial(direct.convolve, padding=padding), images, kernel)
        return gradients(cotangent)

    return lax.platform_dependent(*inputs, cotangent, cpu=on_cpu, default=by_xla)


_convolve.defvjp(_forward, _backward)


def _way_to_gradient(images: Array, kernel: Array, padding: Padding) -> ModuleType:
    if winograd.suits_gradient(images, kernel.shape, padding):
        return winograd
    return rows if rows.suits_gradient(kernel.shape) else pieces


def _gradient_on_cpu(cotangent: Array, kernel: Array, padding: Padding) -> Array:
    """The gradient of the images: a convolution of the output's with the kernel turned around."""
    rest = Padding(
        *(
            (reach - 1 - before, reach - 1 - after)
            for reach, (before, after) in zip(kernel.shape[:2], padding, strict=True)
        )
    )
    if winograd.suits(cotangent, kernel.shape, rest):
        return winograd.gradient_of_images(cotangent, kernel, rest)
    return direct.convolve_on_cpu(cotangent, kernel[::-1, ::-1].swapaxes(2, 3), rest)
