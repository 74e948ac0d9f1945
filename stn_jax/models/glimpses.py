"""Glimpses: while it learns where to look, a heat map sends several crops to the classifier.

One crop at the heat map's centre of mass teaches the localization net only how to move that crop a
little, and where it looks first is where it stays. Glimpses are drawn from the heat map instead,
and the photo's class is read from their mixture: the likelihood of a hidden place, as in Mnih et
al. 2014, "Recurrent Models of Visual Attention", but summed over the drawn places instead of
estimated from rewards. Its gradient raises the heat map where the classifier recognises the class,
and trains the classifier most on the crops that show it (expectation-maximisation).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from stn_jax.models.localization import Look, cell_centres, keep_centre_inside
from stn_jax.sampling import attention_theta


class Glimpses(NamedTuple):
    """Places to look at, a few a photo.

    Attributes:
      theta: one map a glimpse.
      log_weight: logarithm of what each counts; the weights of a photo's glimpses sum to 1.
    """

    theta: Float[Array, "batch glimpse 2 3"]
    log_weight: Float[Array, "batch glimpse"]


def draw_glimpses(
    key: Key[Array, ""], look: Look, *, count: int, explore: float, keep_inside: bool
) -> Glimpses:
    """Draws places from the heat map, and a share of them from everywhere alike.

    A glimpse weighs what the heat map gives its place over how often such a place is drawn, so that
    the mixture is the heat map's, whatever is explored (importance sampling, self-normalised). The
    weights carry the gradient to the heat map; the draws carry none.

    Args:
      key: random key.
      look: what the heat-map head saw; its theta gives the scale.
      count: glimpses a photo.
      explore: share of glimpses drawn from the whole photo, in (0, 1].
      keep_inside: move glimpses so that they stay inside the photo.
    """
    batch, height, width = look.log_heatmap.shape
    log_heatmap = look.log_heatmap.reshape(batch, height * width)
    even = jnp.log(explore / (height * width))
    log_proposal = jnp.logaddexp(jnp.log1p(-explore) + log_heatmap, even)
    log_proposal = jax.lax.stop_gradient(log_proposal)
    cell_key, place_key = jax.random.split(key)
    cells = jax.random.categorical(cell_key, log_proposal[:, None], shape=(batch, count))
    log_ratio = log_heatmap - log_proposal
    log_weight = jax.nn.log_softmax(jnp.take_along_axis(log_ratio, cells, axis=1), axis=1)

    x, y = cell_centres(width, look.covered[0]), cell_centres(height, look.covered[1])
    centre = jnp.stack([x[cells % width], y[cells // width]], axis=-1)
    # Anywhere in the cell, so that the places between the centres are seen, too.
    within = jax.random.uniform(place_key, centre.shape, centre.dtype, minval=-1, maxval=1)
    centre = centre + within * (look.covered / jnp.array([width, height]))[None, None]
    scale = jnp.repeat(look.theta[:, 0, 0], count)
    centre = centre.reshape(-1, 2)
    if keep_inside:
        centre = keep_centre_inside(scale, centre)
    theta = attention_theta(scale, centre).reshape(batch, count, 2, 3)
    return Glimpses(theta, log_weight)


def mix(
    logits: Float[Array, "batch glimpse classes"], log_weight: Float[Array, "batch glimpse"]
) -> Float[Array, "batch classes"]:
    """Log-probabilities of the classes of a photo, one of whose glimpses shows what it is."""
    log_probabilities = jax.nn.log_softmax(logits, axis=-1)
    return jax.nn.logsumexp(log_probabilities + log_weight[..., None], axis=1)
