"""Products of what is at the same places of two arrays, added up over all places."""

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
