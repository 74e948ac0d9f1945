"""One step of training and one of evaluation: pure functions, compiled whole."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key, PyTree

from stn_jax.config import Config, ZoomScheduleConfig
from stn_jax.data.augment import augment
from stn_jax.models import STNClassifier
from stn_jax.sampling import theta_to_box
from stn_jax.training.state import TrainState

Batch = Mapping[str, Array]
Metrics = dict[str, Array]
TrainStep = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]
EvalStep = Callable[[PyTree, Batch], Metrics]


def make_train_step(
    model: STNClassifier, optimizer: optax.GradientTransformation, config: Config
) -> TrainStep:
    """Builds the compiled step.

    Everything random in a step comes from (seed, step) alone, so a run continues after any
    interruption exactly as if there had been none. The state is donated: its memory is reused.

    Returns:
      (state, batch) -> (state, metrics), where the batch has `photo` [batch, height, width,
      channel] uint8 and `label` [batch], and the metrics are scalars: loss, accuracy,
      gradient_norm, and of the crops: scale, outside.
    """
    seed, schedule = config.train.seed, config.train.zoom_schedule

    def loss(
        params: PyTree, state: TrainState, photos: Array, labels: Array, key: Key[Array, ""]
    ) -> tuple[Array, tuple[PyTree, Array, Array]]:
        dropout_key, zoom_key = jax.random.split(key)
        (logits, theta, _), model_state = model.apply(
            {"params": params, **state.model_state},
            photos,
            train=True,
            scale=draw_scales(zoom_key, state.step, len(photos), schedule),
            rngs={"dropout": dropout_key},
            mutable=list(state.model_state),
        )
        mean_loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
        return mean_loss, (model_state, logits, theta)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(jax.random.key(seed), state.step)
        augment_key, loss_key = jax.random.split(key)
        photos = augment(
            augment_key,
            batch["photo"],
            config=config.data.augment,
            fill_value=jnp.asarray(model.transformer.mean_color),
        )
        (value, (model_state, logits, theta)), gradient = jax.value_and_grad(loss, has_aux=True)(
            state.params, state, photos, batch["label"], loss_key
        )
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        metrics = {
            "loss": value,
            "accuracy": (logits.argmax(axis=-1) == batch["label"]).mean(),
            "gradient_norm": optax.tree.norm(gradient),
            **{name: v.mean() for name, v in describe_crops(model, theta, photos.shape).items()},
        }
        return (
            TrainState(
                step=state.step + 1,
                params=optax.apply_updates(state.params, updates),
                model_state=model_state,
                opt_state=opt_state,
            ),
            metrics,
        )

    return jax.jit(step, donate_argnums=0)


def make_eval_step(model: STNClassifier) -> EvalStep:
    """Builds the compiled evaluation of one batch.

    Returns:
      (variables, batch) -> sums over the photos whose `mask` is True: loss, accuracy, scale,
      outside, and count. Divide by count at the end: every photo then counts exactly once,
      whatever the batch size.
    """

    def step(variables: PyTree, batch: Batch) -> Metrics:
        logits, theta, _ = model.apply(variables, batch["photo"], train=False)
        each = {
            "loss": optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"]),
            "accuracy": (logits.argmax(axis=-1) == batch["label"]).astype(jnp.float32),
            **describe_crops(model, theta, batch["photo"].shape),
        }
        mask = batch["mask"]
        # where, not a product: padding may hold anything, and NaN times 0 is NaN.
        sums = {name: jnp.where(mask, value, 0).sum() for name, value in each.items()}
        return {**sums, "count": mask.sum()}

    return jax.jit(step)


def draw_scales(
    key: Key[Array, ""], step: Int[Array, ""], count: int, schedule: ZoomScheduleConfig
) -> Float[Array, " count"] | None:
    """Draws a base scale for each photo, log-uniform below an upper end that falls over the run."""
    if not schedule.steps:
        return None
    progress = jnp.clip(step / schedule.steps, 0, 1)
    high = schedule.high_from + (schedule.high_to - schedule.high_from) * progress
    draws = jax.random.uniform(key, (count,))
    return jnp.exp(jnp.log(schedule.low) + draws * (jnp.log(high) - jnp.log(schedule.low)))


def describe_crops(
    model: STNClassifier, theta: Float[Array, "batch ..."], shape: tuple[int, ...]
) -> dict[str, Float[Array, " batch"]]:
    """Says of each crop how large it is and how far it reaches out of the photo.

    Returns:
      scale: square root of the crop's share of the photo's area, from its four corners.
      outside: how far the furthest corner lies outside, in photo sides; 0 when none does.
    """
    height, width = shape[1:3]
    corners = theta_to_box(theta, (height, width), transform=model.transformer.family)
    corners = corners / jnp.array([width, height], jnp.float32)[None, None]
    x, y = corners[..., 0], corners[..., 1]
    doubled_area = (x * jnp.roll(y, -1, axis=1) - jnp.roll(x, -1, axis=1) * y).sum(axis=1)
    overhang = jnp.maximum(-corners, corners - 1).max(axis=(1, 2))
    return {
        "scale": jnp.sqrt(jnp.abs(doubled_area) / 2),
        "outside": jnp.maximum(overhang, 0),
    }
