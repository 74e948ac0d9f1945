"""The localization net: from a coarse view of the photo to theta."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, get_args, no_type_check

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Float

from stn_jax.models.convolution import conv_general_dilated
from stn_jax.models.pooling import check_size, max_pool
from stn_jax.sampling import attention_theta, checks, compose, spatial_transform

LearnedTransform = Literal["affine", "attention", "projective", "tps"]
Head = Literal["dense", "heatmap"]

_AFFINE_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
_PROJECTIVE_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)

_HEATMAP_SHARPNESS = 20.0
"""Multiplies the heat map's logits, so that small weights already make a sharp peak."""

_EXACT = lax.Precision.HIGHEST
"""Of products that say where: as TF32, a GPU's default, a position is off by tenths of a pixel."""

_FOUND_SIZE = (8, 8)
"""Of the feature maps around the place that was found, from which the map there is regressed."""


class Look(NamedTuple):
    """What the localization net makes of a batch of photos.

    Attributes:
      theta: [batch, 2, 3] for affine and attention, [batch, 3, 3] for projective,
        [batch, control_points ** 2, 2] displacements for tps.
      log_heatmap: logarithm of the probability of each place; None with the dense head.
      covered: shares (x, y) of the photo's sides, from its top left, that these places cover: less
        than 1 where a pool leaves out an odd last row or column.
    """

    theta: Float[Array, "batch ..."]
    log_heatmap: Float[Array, "batch height width"] | None = None
    covered: Float[Array, "2"] | None = None


class LocalizationNet(nn.Module):
    """Predicts one map a photo; the identity (or `scale`, centred) before any training.

    The last layers start with zero weights. The dense head regresses the parameters of the map from
    all features. The heat-map head turns the last feature map into a probability for each position
    and takes their centre of mass as the crop's centre: equivariant to where things are, with a
    gradient from every position. (Where a pool leaves out an odd row or column, the last positions
    are not the photo's last, and the crop starts so much off the middle.) For all but attention it
    then looks again: a dense layer regresses, from the features inside that upright crop alone, how
    to turn, stretch or bend it, so that what it says of a thing does not depend on where the thing
    lies.

    Attributes:
      transform: family of the map.
      head: `dense`, or `heatmap`.
      channels: feature maps of the convolutions (5x5, then 3x3); each but the last is followed by
        a 2x2 max pool.
      units: units of the hidden dense layer, of the dense head and of the second look.
      scale: scale at the start, of attention and of any map behind a heat map.
      scale_bounds: the upright crop's scale stays between these multiples of `scale`; below and
        above 1.
      keep_inside: limit the upright crop's translation so that it stays inside the photo.
      control_points: control points a side, for `tps`.
      dtype: type of the arithmetic of the convolutions; theta is float32 whatever it is.

    Raises:
      ValueError: an attribute is not one of the above.
    """

    transform: LearnedTransform = "affine"
    head: Head = "dense"
    channels: tuple[int, ...] = (16, 32, 32)
    units: int = 64
    scale: float = 1.0
    scale_bounds: tuple[float, float] = (0.1, 1.25)
    keep_inside: bool = False
    control_points: int = 4
    dtype: DTypeLike = jnp.float32

    __no_type_check__ = True  # of the attributes: the messages below are clearer

    def __post_init__(self) -> None:
        checks.choice("transform", self.transform, get_args(LearnedTransform))
        checks.choice("head", self.head, get_args(Head))
        checks.whole_number("units", self.units)
        checks.whole_number("control_points", self.control_points, least=2)
        if not self.channels:
            raise ValueError("channels must name at least one layer, got none")
        if not 0 < self.scale < math.inf:
            raise ValueError(f"scale must be a finite number above 0, got {self.scale!r}")
        _check_bounds(self.scale_bounds)
        super().__post_init__()

    def __call__(
        self,
        view: Float[ArrayLike, "batch height width channel"],
        *,
        scale: Float[Array, " batch"] | None = None,
    ) -> Float[Array, "batch ..."]:
        """Predicts theta; see `look`."""
        return self.look(view, scale=scale).theta

    @nn.compact
    @no_type_check
    def look(
        self,
        view: Float[ArrayLike, "batch height width channel"],
        *,
        scale: Float[Array, " batch"] | None = None,
    ) -> Look:
        """Predicts theta, and gives the heat map behind it where there is one.

        Args:
          view: the photo, small, about zero mean and unit variance.
          scale: one base scale a photo in place of the attribute `scale`.

        Raises:
          TypeError: the view does not hold numbers, or scale is not floating-point.
          ValueError: a shape is another one, the view is too small, or there is no upright crop
            that scale could be of.
        """
        view = checks.images_like("view", view)
        check_size("view", view, len(self.channels) - 1)
        if scale is not None:
            scale = checks.floating("scale", scale, ("batch",)).astype(jnp.float32)
            checks.same_batch("scale", scale, "view", view)
        features = self._features(view)
        if self.head == "heatmap":
            raw_scale = self._outputs(features.mean(axis=(1, 2)), [0.0])[:, 0]
            log_heatmap = self._log_heatmap(features)
            covered = self._covered(features, view)
            theta = self._attend(raw_scale, _centre_of_mass(log_heatmap, covered), scale)
            if self.transform != "attention":
                theta = self._refine(features, theta, covered)
            return Look(theta, log_heatmap, covered)
        return Look(self._regress(features, scale))

    def _covered(self, features: Array, view: Array) -> Array:
        """Shares (x, y) of the view's sides from which the pools leave nothing out."""
        shrunk = 2 ** (len(self.channels) - 1)
        shares = [features.shape[i] * shrunk / view.shape[i] for i in (2, 1)]
        return jnp.array(shares, jnp.float32)

    def _refine(self, features: Array, crop: Array, covered: Array) -> Array:
        """Turns, stretches and bends an upright crop by what the features show inside it."""
        seen = spatial_transform(features, _within_covered(crop, covered), _FOUND_SIZE)
        hidden = self._hidden(seen)
        # Of many features, none negative, a step of Adam moves a unit for all photos alike: not
        # normalised, all units can go off for good, and all crops are then turned alike.
        hidden = nn.relu(nn.LayerNorm(dtype=self.dtype)(hidden))
        return compose(crop, self._map(hidden), transform=self.transform)

    def _regress(self, features: Array, scale: Array | None) -> Array:
        hidden = nn.relu(self._hidden(features))
        if self.transform != "attention":
            if scale is not None:
                raise ValueError(
                    "scale is read by attention and by heat maps alone, not by a dense head of "
                    f"{self.transform} maps"
                )
            return self._map(hidden)
        outputs = self._outputs(hidden, [0.0, 0.0, 0.0])
        return self._attend(outputs[:, 0], outputs[:, 1:], scale)

    def _map(self, hidden: Array) -> Array:
        """Theta with all its freedom: the identity until it is trained."""
        match self.transform:
            case "affine":
                return self._outputs(hidden, _AFFINE_IDENTITY).reshape(-1, 2, 3)
            case "projective":
                return self._outputs(hidden, _PROJECTIVE_IDENTITY).reshape(-1, 3, 3)
            case "tps":
                points = self.control_points**2
                return self._outputs(hidden, [0.0] * (2 * points)).reshape(-1, points, 2)

    def _features(self, view: ArrayLike) -> Array:
        x = jnp.asarray(view, self.dtype)
        for i, features in enumerate(self.channels):
            if i:
                x = max_pool(x)
            side = 3 if i else 5
            x = nn.Conv(
                features,
                (side, side),
                kernel_init=nn.initializers.he_normal(),
                dtype=self.dtype,
                conv_general_dilated=conv_general_dilated,
            )(x)
            x = nn.relu(x)
        return x

    def _hidden(self, features: Array) -> Array:
        dense = nn.Dense(self.units, kernel_init=nn.initializers.he_normal(), dtype=self.dtype)
        return dense(lax.collapse(features, 1))

    def _outputs(self, features: Array, at_start: Sequence[float]) -> Array:
        """A dense layer that answers `at_start` until it is trained."""
        return nn.Dense(
            len(at_start),
            kernel_init=nn.initializers.zeros,
            bias_init=_constant(at_start),
            precision=_EXACT,
        )(features.astype(jnp.float32))

    def _log_heatmap(self, features: Array) -> Array:
        convolve = nn.Conv(1, (1, 1), kernel_init=nn.initializers.zeros, precision=_EXACT)
        logits = convolve(features.astype(jnp.float32))
        return jax.nn.log_softmax(_HEATMAP_SHARPNESS * logits[..., 0], axis=(1, 2))

    def _attend(self, raw_scale: Array, centre: Array, base: Array | None) -> Array:
        low, high = self.scale_bounds
        share_at_start = (1 - low) / (high - low)
        logit_at_start = jnp.log(share_at_start / (1 - share_at_start))
        multiple = low + (high - low) * jax.nn.sigmoid(raw_scale + logit_at_start)
        scale = (self.scale if base is None else base) * multiple
        if self.keep_inside:
            centre = keep_centre_inside(scale, centre)
        return attention_theta(scale, centre)


def keep_centre_inside(
    scale: Float[Array, " batch"], centre: Float[Array, "batch 2"]
) -> Float[Array, "batch 2"]:
    """Moves the centres of crops of these scales so that the crops stay inside the photo."""
    room = jnp.maximum(1 - scale, 0)[:, None]
    return jnp.clip(centre, -room, room)


def cell_centres(count: int, covered: Float[ArrayLike, ""]) -> Float[Array, " count"]:
    """Coordinates of the middles of `count` equal cells that cover a share of [-1, 1] from -1."""
    return covered * ((2 * jnp.arange(count, dtype=jnp.float32) + 1) / count) - 1


def _check_bounds(scale_bounds: Any) -> None:
    try:
        low, high = scale_bounds
        fits = 0 < low < 1 < high < math.inf
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise ValueError(
            "scale_bounds must be (low, high), finite multiples with 0 < low < 1 < high, "
            f"got {scale_bounds!r}"
        )


def _centre_of_mass(log_heatmap: Array, covered: Array) -> Array:
    """Soft-argmax: the mean position, (x, y) in [-1, 1], under the heat map."""
    heatmap = jnp.exp(log_heatmap)
    _, height, width = heatmap.shape
    x = jnp.dot(heatmap.sum(axis=1), cell_centres(width, covered[0]), precision=_EXACT)
    y = jnp.dot(heatmap.sum(axis=2), cell_centres(height, covered[1]), precision=_EXACT)
    return jnp.stack([x, y], axis=-1)


def _within_covered(crop: Array, covered: Array) -> Array:
    """Theta of the same crop in coordinates that go from -1 to 1 over the covered share alone."""
    return (crop / covered[None, :, None]).at[:, :, 2].add((1 / covered - 1)[None])


def _constant(values: Sequence[float]) -> Callable[..., Array]:
    def initialise(key: Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> Array:
        del key
        return jnp.asarray(values, dtype).reshape(shape)

    return initialise
