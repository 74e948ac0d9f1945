"""Several classifiers that answer together."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stn_jax.models.vgg import VGGLite


class Ensemble(nn.Module):
    """Classifiers that begin apart and learn from the same images, each from its own errors.

    Where photos are few, each goes wrong on others, so that together they are right more often and
    seldom sure and wrong. Source: Lakshminarayanan et al. 2017, "Simple and scalable predictive
    uncertainty estimation using deep ensembles"; here all see the same batches.

    Attributes:
      members: the classifiers.
    """

    members: tuple[VGGLite, ...]

    def __call__(
        self, images: Float[Array, "batch height width channel"], *, train: bool
    ) -> Float[Array, "batch classes"] | Float[Array, "batch member classes"]:
        """Classifies normalised images.

        Args:
          images: as for one member.
          train: as for one member.

        Returns:
          Logarithm of the mean of the members' probabilities [batch, classes], float32; with
          `train`, the logits of each [batch, member, classes], because each learns for itself.
        """
        logits = jnp.stack([member(images, train=train) for member in self.members], axis=1)
        if train:
            return logits
        return jax.nn.logsumexp(jax.nn.log_softmax(logits), axis=1) - jnp.log(len(self.members))
