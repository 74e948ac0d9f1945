"""What a training run carries from step to step."""

import functools
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from stn_jax.config import TrainConfig


class TrainState(flax.struct.PyTreeNode):
    """Everything a checkpoint holds; with the configuration it determines all later steps.

    The types say Any because JAX also builds trees of shapes, shardings and None.

    Attributes:
      step: batches seen, an int32 scalar.
      params: weights, float32.
      model_state: what layers keep besides weights (running statistics).
      opt_state: the optimiser's moments and counters.
    """

    step: Any
    params: PyTree
    model_state: PyTree
    opt_state: PyTree

    @property
    def variables(self) -> dict[str, Any]:
        """What `model.apply` takes."""
        return {"params": self.params, **self.model_state}


def make_optimizer(config: TrainConfig) -> optax.GradientTransformation:
    """Builds Adam with the options of the configuration.

    The paper's is plain Adam at a constant rate. Weight decay is decoupled and acts on kernels
    alone; the localization net's updates are multiplied by `localization_rate`, and by 0 in the
    first `localization_freeze` steps.
    """
    stages = []
    if config.clip_norm is not None:
        stages.append(optax.clip_by_global_norm(config.clip_norm))
    stages.append(optax.scale_by_adam())
    if config.weight_decay:
        stages.append(optax.add_decayed_weights(config.weight_decay, mask=_kernels))
    if config.localization_rate != 1 or config.localization_freeze:
        slow = optax.scale_by_schedule(
            lambda step: jnp.where(step < config.localization_freeze, 0, config.localization_rate)
        )
        stages.append(optax.masked(slow, _of_localization))
    stages.append(optax.scale_by_learning_rate(make_schedule(config)))
    return optax.chain(*stages)


def make_schedule(config: TrainConfig) -> optax.Schedule:
    """Learning rate by step: linear warm-up, then constant or a cosine to zero."""
    rate, warmup = config.learning_rate, config.warmup_steps
    if config.schedule == "cosine":
        after = optax.cosine_decay_schedule(rate, max(1, config.steps - warmup))
    else:
        after = optax.constant_schedule(rate)
    if not warmup:
        return after
    return optax.join_schedules([optax.linear_schedule(0.0, rate, warmup), after], [warmup])


@functools.partial(
    jax.jit, static_argnames=("model", "optimizer", "photo_size", "num_channels", "seed")
)
def init_state(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    *,
    photo_size: tuple[int, int],
    num_channels: int,
    seed: int,
) -> TrainState:
    """Draws the first weights, in one program; a pure function, so it can be traced for shapes."""
    photo = jnp.zeros((1, *photo_size, num_channels), jnp.uint8)
    variables = dict(model.init(jax.random.key(seed), photo, train=False))
    params = variables.pop("params")
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        model_state=variables,
        opt_state=optimizer.init(params),
    )


def _kernels(params: PyTree) -> PyTree:
    return jax.tree.map_with_path(lambda path, _: path[-1].key == "kernel", params)


def _of_localization(params: PyTree) -> PyTree:
    return jax.tree.map_with_path(
        lambda path, _: any(entry.key == "localization" for entry in path), params
    )
