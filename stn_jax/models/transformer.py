"""The spatial transformer: looks at a coarse view, samples a crop from the full photo."""

import dataclasses
from typing import Literal, get_args, no_type_check

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Real

from stn_jax.config import checked_view_shrink
from stn_jax.models.localization import LocalizationNet, Look
from stn_jax.sampling import area_average, attention_theta, checks, spatial_transform
from stn_jax.sampling.affine import middle_theta

PIXEL_SCALE = 64.0
"""Divides mean-free pixel values (0 to 255); about the standard deviation of a photo."""

FixedTransform = Literal["identity", "centre"]


class SpatialTransformer(nn.Module):
    """Predicts theta from the area-averaged photo and samples the crop it describes.

    Photos stay in their own type (uint8) until the sampler gathers from them: only the pixels of
    the crop are ever converted.

    Attributes:
      localization: the net that predicts theta.
      crop_size: height and width of the crop.
      fixed: in place of a learned map, `identity` (the whole photo, shrunk) or `centre` (the
        photo's middle at full resolution); the localization net is then not built.
      view_shrink: the localization net sees the photo averaged over blocks of this side; None:
        blocks that leave about 70 pixels on the short side, and at most 140.
      antialias: filter the photo where the map shrinks it.
      oversample: sample this many times as densely each way, then average blocks to the crop.
      mean_color: fills what lies outside the photo, and is 0 to the networks; one value a channel.

    Raises:
      ValueError: an attribute is not one of the above.
    """

    localization: LocalizationNet = dataclasses.field(default_factory=LocalizationNet)
    crop_size: tuple[int, int] = (210, 315)
    fixed: FixedTransform | None = None
    view_shrink: int | None = None
    antialias: bool = False
    oversample: int = 1
    mean_color: tuple[float, ...] = (127.5, 127.5, 127.5)

    __no_type_check__ = True  # of the attributes: the messages below are clearer

    def __post_init__(self) -> None:
        checks.choice("fixed", self.fixed, (*get_args(FixedTransform), None))
        if self.view_shrink is not None:
            checks.whole_number("view_shrink", self.view_shrink)
        checks.whole_number("oversample", self.oversample)
        super().__post_init__()

    @property
    def family(self) -> str:
        """Family of theta: what `spatial_transform` calls `transform`."""
        return "affine" if self.fixed else self.localization.transform

    @no_type_check
    def __call__(
        self,
        images: Real[ArrayLike, "batch height width channel"],
        *,
        scale: Float[Array, " batch"] | None = None,
        theta: Float[ArrayLike, "batch ..."] | None = None,
    ) -> tuple[Float[Array, "batch crop_height crop_width channel"], Float[Array, "batch ..."]]:
        """Samples the crops.

        Args:
          images: pixel values, 0 to 255.
          scale: base scale of an upright crop, one a photo; see `LocalizationNet`.
          theta: sample these maps instead of predicting any.

        Returns:
          The crops in pixel values, and the theta behind them.

        Raises:
          TypeError: images are not numbers, or theta or scale is not floating-point.
          ValueError: a shape is another one.
        """
        images = checks.images_like("images", images)
        if theta is None:
            theta = self.locate(images, scale=scale).theta
        return self.sample(images, theta), theta

    @no_type_check
    def locate(
        self,
        images: Real[Array, "batch height width channel"],
        *,
        scale: Float[Array, " batch"] | None = None,
    ) -> Look:
        """Decides where to look, from the photos shrunk; see `LocalizationNet.look`.

        Raises:
          ValueError: the photos cannot be averaged to a view of a useful size, or scale is given
            to what does not read it.
        """
        if self.fixed:
            if scale is not None:
                raise ValueError(f"scale is not read where the crop is fixed to {self.fixed!r}")
            return Look(self._fixed_theta(images))
        shrink = checked_view_shrink(
            images.shape[1:3],
            self.view_shrink,
            poolings=len(self.localization.channels) - 1,
        )
        view = area_average(images, shrink)
        # The photo's own mean, not the data set's: skin tone and exposure say nothing of where.
        view = (view - view.mean(axis=(1, 2), keepdims=True)) / PIXEL_SCALE
        return self.localization.look(view, scale=scale)

    @no_type_check
    def sample(
        self,
        images: Real[Array, "batch height width channel"],
        theta: Float[ArrayLike, "batch ..."],
    ) -> Float[Array, "batch crop_height crop_width channel"]:
        """Samples one crop a photo, in pixel values.

        Raises:
          TypeError: images are not numbers, or theta is not floating-point.
          ValueError: a shape is another one.
        """
        images = checks.images_like("images", images)
        crop_height, crop_width = self.crop_size
        samples = spatial_transform(
            images,
            theta,
            (crop_height * self.oversample, crop_width * self.oversample),
            transform=self.family,
            antialias=self.antialias,
            fill_value=checks.per_channel("mean_color", self.mean_color, images),
        )
        return area_average(samples, self.oversample)

    def _fixed_theta(self, images: Array) -> Array:
        batch, height, width, _ = images.shape
        if self.fixed == "identity":
            whole, middle = jnp.ones(batch, jnp.float32), jnp.zeros((batch, 2), jnp.float32)
            return attention_theta(whole, middle)
        middle = jnp.asarray(middle_theta((height, width), self.crop_size))
        return jnp.broadcast_to(middle, (batch, 2, 3))
