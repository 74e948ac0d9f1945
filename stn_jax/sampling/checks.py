"""Refusals of arguments that cannot be meant, each naming the argument and what it should be.

The functions that call these are marked `no_type_check`, so that their callers meet these messages
also where jaxtyping checks annotations.
"""

import math
import numbers
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import Array


def floating(name: str, value: Any, shape: Sequence[int | str]) -> Array:
    """Returns `value` as a floating-point array, after checking its type and shape.

    Args:
      name: what the message calls the argument.
      value: array or anything `jnp.asarray` takes.
      shape: for each axis its length, or a name where any length will do.

    Raises:
      TypeError: the elements are not floating-point numbers.
      ValueError: the shape is another one.
    """
    array = jnp.asarray(value)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(
            f"{name} must hold floating-point numbers, got {array.dtype}: "
            f"convert it with {name}.astype('float32')"
        )
    _check_shape(name, array, shape)
    return array


def images_like(name: str, value: Any) -> Array:
    """Returns `value` as an array of images, after checking its type and shape.

    Raises:
      TypeError: the elements are neither integers nor floating-point numbers.
      ValueError: the axes are not [batch, height, width, channels], there is no pixel or
        channel to read, or there are more pixels than an index can count.
    """
    array = jnp.asarray(value)
    if not (jnp.issubdtype(array.dtype, jnp.floating) or jnp.issubdtype(array.dtype, jnp.integer)):
        raise TypeError(f"{name} must hold integers or floating-point numbers, got {array.dtype}")
    _check_shape(name, array, ("batch", "height", "width", "channels"))
    height, width, channels = array.shape[1:]
    if channels == 0:
        raise ValueError(f"{name} of shape {array.shape} have no channels to sample")
    if height == 0 or width == 0:
        raise ValueError(f"{name} of shape {array.shape} have no pixels to sample")
    if height * width >= 2**31:
        raise ValueError(
            f"{name} of shape {array.shape} have {height * width} pixels each: "
            f"at most 2**31 - 1 can be addressed, so cut them into tiles first"
        )
    return array


def output_size(name: str, value: Any) -> tuple[int, int]:
    """Returns `value` as (height, width) of an output.

    Raises:
      TypeError: not two whole numbers.
      ValueError: negative.
    """
    try:
        height, width = (side.__index__() for side in value)
    except (TypeError, AttributeError, ValueError) as error:
        raise TypeError(f"{name} must be (height, width) in pixels, got {value!r}") from error
    if height < 0 or width < 0:
        raise ValueError(f"{name} must not be negative, got {(height, width)}")
    return height, width


def whole_number(name: str, value: Any, *, least: int = 1, most: int | None = None) -> int:
    """Returns `value` as a whole number.

    Raises:
      ValueError: it is none, below `least` or above `most`.
    """
    try:
        number = value.__index__()
    except (TypeError, AttributeError):
        number = None
    if number is None or number < least or (most is not None and number > most):
        limits = f"from {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"{name} must be a whole number {limits}, got {value!r}")
    return number


def not_negative(name: str, value: Any) -> float:
    """Returns `value` as a number; ValueError where it is negative, not finite or an array."""
    if not (isinstance(value, numbers.Real) and 0 <= value < math.inf):
        raise ValueError(f"{name} must be one finite number from 0, no array, got {value!r}")
    return float(value)


def same_batch(first: str, a: Array, second: str, b: Array) -> None:
    """Raises ValueError where two arrays differ in their first axis."""
    if a.shape[0] != b.shape[0]:
        raise ValueError(
            f"{first} of shape {a.shape} and {second} of shape {b.shape} differ in batch size: "
            f"{a.shape[0]} against {b.shape[0]}"
        )


def per_channel(name: str, value: Any, images: Array) -> Array:
    """Returns `value` as [channels], given one number for all channels of images or one for each.

    Raises:
      ValueError: another number of them.
    """
    array = jnp.asarray(value)
    channels = images.shape[-1]
    if array.shape not in ((), (1,), (channels,)):
        raise ValueError(
            f"{name} must be one number or one for each of {channels} channels, "
            f"got shape {array.shape}"
        )
    return jnp.broadcast_to(array, (channels,))


def choice(name: str, value: Any, known: Sequence[str | None]) -> None:
    """Raises ValueError where `value` is none of the known ones."""
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(map(str, known))}, got {value!r}")


def _check_shape(name: str, array: Array, shape: Sequence[int | str]) -> None:
    fits = array.ndim == len(shape) and all(
        isinstance(want, str) or have == want for have, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        wanted = ", ".join(str(axis) for axis in shape)
        raise ValueError(f"{name} must have shape [{wanted}], got {array.shape}")
