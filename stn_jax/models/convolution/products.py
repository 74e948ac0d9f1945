"""Products of what is at the same places of two arrays, added up over all places."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


def sum_of_products(
    one: Float[Array, "batch height width channel"],
    other: Float[Array, "batch height width feature"],
) -> Float[Array, "channel feature"]:
    """Each channel times each feature; the sums are float32 at least."""
    return lax.dot_general(
        one.reshape(-1, one.shape[3]),
        other.reshape(-1, other.shape[3]),
        (((0,), (0,)), ((), ())),
        preferred_element_type=jnp.promote_types(one.dtype, jnp.float32),
    )


def sum_over_groups(
    function: Callable[[Array, Array], Array],
    images: Float[Array, "batch height width channel"],
    cotangent: Float[Array, "batch out_height out_width feature"],
    at_once: int,
) -> Array:
    """Adds up what a function gives for the first `at_once` images, for the next, ...

    Args:
      function: of some images and their cotangents.
      images: of a whole batch.
      cotangent: the gradient of the output for each of them.
      at_once: a divisor of their number.
    """
    if at_once == len(images):
        return function(images, cotangent)

    def add(number: Array, total: Array) -> Array:
        return total + function(
            *(
                lax.dynamic_slice_in_dim(each, number * at_once, at_once)
                for each in (images, cotangent)
            )
        )

    shape = jax.eval_shape(function, images[:at_once], cotangent[:at_once])
    zeros = jnp.zeros(shape.shape, shape.dtype)
    return lax.fori_loop(0, len(images) // at_once, add, zeros)
