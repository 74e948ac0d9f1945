"""The whole network: transformer, normalisation, classifier."""

import dataclasses
from typing import Any, no_type_check

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Real

from stn_jax.config import ModelConfig
from stn_jax.models.glimpses import draw_glimpses, mix
from stn_jax.models.localization import LocalizationNet
from stn_jax.models.transformer import PIXEL_SCALE, SpatialTransformer
from stn_jax.models.vgg import VGGLite
from stn_jax.sampling import checks


class STNClassifier(nn.Module):
    """Zooms into each photo and classifies the crop.

    Attributes:
      transformer: samples the crop.
      classifier: reads it.
    """

    transformer: SpatialTransformer = dataclasses.field(default_factory=SpatialTransformer)
    classifier: VGGLite = dataclasses.field(default_factory=lambda: VGGLite(num_classes=2))

    def __call__(
        self,
        images: Real[ArrayLike, "batch height width channel"],
        *,
        train: bool,
        scale: Float[Array, " batch"] | None = None,
        theta: Float[ArrayLike, "batch ..."] | None = None,
    ) -> tuple[
        Float[Array, "batch classes"],
        Float[Array, "batch ..."],
        Float[Array, "batch crop_height crop_width channel"],
    ]:
        """Classifies photos.

        Args:
          images: photos, pixel values 0 to 255; uint8 is quickest.
          train: dropout on (needs the `dropout` random key), batch statistics of this batch.
          scale: base scale of an attention crop, one a photo; see `LocalizationNet`.
          theta: look here instead of where the localization net would.

        Returns:
          logits [batch, classes] float32; theta (its shape depends on the transform); the crops in
          pixel values, float32.
        """
        crops, theta = self.transformer(images, scale=scale, theta=theta)
        return self._classify(crops, train=train), theta, crops

    @no_type_check
    def glimpse(
        self,
        images: Real[ArrayLike, "batch height width channel"],
        *,
        train: bool,
        count: int,
        explore: float,
        scale: Float[Array, " batch"] | None = None,
    ) -> tuple[Float[Array, "batch classes"], Float[Array, "batch 2 3"]]:
        """Classifies photos by several glimpses drawn from the heat map, for training.

        Args:
          images: photos, pixel values 0 to 255.
          train: as for a call.
          count: glimpses a photo; needs the `glimpses` random key.
          explore: share of them that is drawn from the whole photo, in (0, 1].
          scale: base scale of the glimpses, one a photo; see `LocalizationNet`.

        Returns:
          Log-probabilities of the glimpses' mixture, float32; and the theta of the one crop that a
          call would have sampled.

        Raises:
          TypeError: images are not numbers, or scale is not floating-point.
          ValueError: a shape or an argument is not one of the above, or there is no heat map or
            another transform than attention.
        """
        self._check_glimpses(count, explore)
        images = checks.images_like("images", images)
        look = self.transformer.locate(images, scale=scale)
        theta, log_weight = draw_glimpses(
            self.make_rng("glimpses"),
            look,
            count=count,
            explore=explore,
            keep_inside=self.transformer.localization.keep_inside,
        )
        # Mapped over the glimpses alone, so that a photo is prepared once for all of its own.
        sample = jax.vmap(self.transformer.sample, in_axes=(None, 1), out_axes=1)
        crops = sample(images, theta)
        logits = self._classify(crops.reshape(-1, *crops.shape[2:]), train=train)
        return mix(logits.reshape(-1, count, logits.shape[-1]), log_weight), look.theta

    def _check_glimpses(self, count: Any, explore: Any) -> None:
        net = self.transformer.localization
        if self.transformer.fixed or (net.head, net.transform) != ("heatmap", "attention"):
            raise ValueError(
                "glimpses need a localization net with head='heatmap' and transform='attention', "
                f"got head={net.head!r}, transform={net.transform!r} and a transformer with "
                f"fixed={self.transformer.fixed!r}"
            )
        checks.whole_number("count", count)
        if not 0 < explore <= 1:
            raise ValueError(f"explore must be above 0 and at most 1, got {explore!r}")

    def _classify(self, crops: Array, *, train: bool) -> Array:
        mean = checks.per_channel("mean_color", self.transformer.mean_color, crops)
        normalised = (crops - mean.astype(crops.dtype)[None, None, None]) / PIXEL_SCALE
        return self.classifier(normalised, train=train)


def make_model(
    config: ModelConfig,
    *,
    num_classes: int,
    mean_color: tuple[float, ...],
    precision: str = "float32",
    remat: bool = False,
) -> STNClassifier:
    """Builds the network that a configuration describes.

    Args:
      config: sizes and kinds of every part.
      num_classes: length of the logits.
      mean_color: mean of the training photos, one value a channel, 0 to 255.
      precision: type of the networks' arithmetic, `float32` or `bfloat16`.
      remat: compute the classifier's activations again in the backward pass.
    """
    fixed = config.transform if config.transform in ("identity", "centre") else None
    localization = LocalizationNet(
        transform="affine" if fixed else config.transform,
        head=config.head,
        channels=config.localization_channels,
        units=config.localization_units,
        scale=config.scale,
        scale_bounds=config.scale_bounds,
        keep_inside=config.keep_inside,
        control_points=config.control_points,
        dtype=jnp.dtype(precision),
    )
    transformer = SpatialTransformer(
        localization=localization,
        crop_size=config.crop_size,
        fixed=fixed,
        view_shrink=config.view_shrink,
        antialias=config.antialias,
        oversample=config.oversample,
        mean_color=mean_color,
    )
    classifier = VGGLite(
        num_classes=num_classes,
        channels=config.channels,
        dense=config.dense,
        dropout=config.dropout,
        batch_norm=config.batch_norm,
        global_pool=config.global_pool,
        global_statistics=config.global_statistics,
        global_blocks=config.global_blocks,
        remat=remat,
        dtype=jnp.dtype(precision),
    )
    return STNClassifier(transformer=transformer, classifier=classifier)
