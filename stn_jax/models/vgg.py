"""The reduced VGG16 that classifies the crop."""

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from stn_jax.models.convolution import conv_general_dilated
from stn_jax.models.pooling import check_size, max_pool, pool_globally
from stn_jax.sampling import checks

_he_normal = nn.initializers.he_normal()


class VGGLite(nn.Module):
    """3x3 convolutions in blocks, each ended by a 2x2 max pool, then dense layers with dropout.

    The defaults are the paper's network (section 3), the second dense layer's 2058 units as
    printed; on 210x315 crops it has 135.7 million weights.

    Attributes:
      num_classes: length of the logits.
      channels: feature maps of the convolutions, one tuple a block.
      dense: units of the hidden dense layers.
      dropout: share of units dropped after each hidden dense layer while training.
      batch_norm: normalise after each convolution.
      global_pool: average the last feature maps over positions instead of flattening them.
      global_statistics: with `global_pool`, keep the largest and the standard deviation of each
        feature map, too.
      global_blocks: with `global_pool`, do so with the maps that this many of the last blocks end
        in: what is fine or of few colours is told by the earlier ones.
      remat: keep only what each block receives and compute the rest again in the backward pass.
      dtype: type of the arithmetic; weights, the last layer and logits are float32 whatever it is.

    Raises:
      ValueError: num_classes is no whole number from 1, or global_blocks none from 1 to the number
        of blocks.
    """

    num_classes: int
    channels: tuple[tuple[int, ...], ...] = ((64, 64), (64, 64), (128, 128, 128), (256, 256, 256))
    dense: tuple[int, ...] = (2048, 2058)
    dropout: float = 0.5
    batch_norm: bool = False
    global_pool: bool = False
    global_statistics: bool = False
    global_blocks: int = 1
    remat: bool = False
    dtype: DTypeLike = jnp.float32

    __no_type_check__ = True  # of the attributes: the messages below are clearer

    def __post_init__(self) -> None:
        checks.whole_number("num_classes", self.num_classes)
        checks.whole_number("global_blocks", self.global_blocks, most=len(self.channels))
        super().__post_init__()

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch height width channel"], *, train: bool
    ) -> Float[Array, "batch {self.num_classes}"]:
        """Classifies normalised images.

        Args:
          images: about zero mean and unit variance; sides of at least 2 ** len(channels) pixels.
          train: drop units (needs the `dropout` random key) and use the batch's own statistics.

        Returns:
          Logits, float32.

        Raises:
          TypeError: images are not numbers.
          ValueError: images are of another shape, or too small.
        """
        images = checks.images_like("images", images)
        check_size("images", images, len(self.channels))
        x = images.astype(self.dtype)
        convolve = VGGLite._convolve_block
        if self.remat:
            convolve = nn.remat(convolve, static_argnums=(2, 3))
        maps = []
        for block in self.channels:
            x = convolve(self, x, block, train)
            maps.append(x)
        if self.global_pool:
            last = maps[-self.global_blocks :]
            pooled = [pool_globally(x, statistics=self.global_statistics) for x in last]
            x = jnp.concatenate(pooled, axis=-1)
        else:
            x = lax.collapse(x, 1)
        for units in self.dense:
            x = nn.relu(nn.Dense(units, kernel_init=_he_normal, dtype=self.dtype)(x))
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        # In bfloat16, two logits near 8 could not differ by less than 1/32.
        return nn.Dense(self.num_classes, dtype=jnp.float32)(x.astype(jnp.float32))

    def _convolve_block(self, x: Array, block: tuple[int, ...], train: bool) -> Array:
        for features in block:
            x = self._convolve(x, features, train)
        return max_pool(x)

    def _convolve(self, x: Array, features: int, train: bool) -> Array:
        # A bias in front of batch normalisation is subtracted again at once.
        x = nn.Conv(
            features,
            (3, 3),
            use_bias=not self.batch_norm,
            kernel_init=_he_normal,
            dtype=self.dtype,
            conv_general_dilated=conv_general_dilated,
        )(x)
        if self.batch_norm:
            x = nn.BatchNorm(use_running_average=not train, momentum=0.9, dtype=self.dtype)(x)
        return nn.relu(x)
