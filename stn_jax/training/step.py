"""One step of training and one of evaluation: pure functions, compiled whole."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key, PyTree

from stn_jax.config import Config, TrainConfig, ZoomScheduleConfig
from stn_jax.data.augment import augment
from stn_jax.models import STNClassifier
from stn_jax.sampling import affine_grid, projective_grid, thin_plate_spline_grid
from stn_jax.training.resident import LookUp
from stn_jax.training.state import TrainState

Batch = Mapping[str, Array]
Metrics = dict[str, Array]
TrainStep = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]
EvalStep = Callable[[PyTree, Batch], Metrics]
Part = tuple[Array, Array, Array | None]
"""Photos, labels, and base scales where they are drawn."""
Forward = Callable[..., tuple[tuple[Array, Array], PyTree]]
"""(params, model_state, photos, scales, key) -> ((logits, theta), model_state)."""
Differentiate = Callable[..., tuple[tuple[Array, tuple[PyTree, Array, Array]], PyTree]]
"""(params, model_state, part, key) -> ((loss, (model_state, logits, theta)), gradient)."""

_LATTICE = 9
_LATTICE_SPAN = 2 * (_LATTICE - 1) / _LATTICE
"""Distance of the lattice's outermost points under the identity."""
_FAR = 1e3
_TINY = 1e-6
"""Least area of a crop, over the square of its longest side, that its condition is told from."""


def make_train_step(
    model: STNClassifier,
    optimizer: optax.GradientTransformation,
    config: Config,
    *,
    look_up: LookUp | None = None,
) -> TrainStep:
    """Builds the compiled step.

    Everything random in a step comes from (seed, step) alone, so a run continues after any
    interruption exactly as if there had been none. The state is donated: its memory is reused.

    Args:
      model: the network.
      optimizer: what makes updates of gradients.
      config: the experiment.
      look_up: finds a batch's photos among those that stay on the devices; None: they travel.

    Returns:
      (state, batch) -> (state, metrics), where the batch has `photo` [batch, height, width,
      channel] uint8 (with `look_up`, `index` [batch] and `resident` instead) and `label` [batch],
      and the metrics are scalars: loss, accuracy, gradient_norm, spread (of the crops over the
      batch, in photo sides), and the means of what `describe_crops` says.
    """
    seed, schedule = config.train.seed, config.train.zoom_schedule
    classify = make_training_forward(model, config.train)

    def loss(
        params: PyTree, model_state: PyTree, part: Part, key: Key[Array, ""]
    ) -> tuple[Array, tuple[PyTree, Array, Array]]:
        photos, labels, scales = part
        (logits, theta), model_state = classify(params, model_state, photos, scales, key)
        mean_loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
        return mean_loss, (model_state, logits, theta)

    differentiate = accumulated(
        jax.value_and_grad(loss, has_aux=True), parts=config.train.accumulate
    )

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(jax.random.key(seed), state.step)
        augment_key, zoom_key, dropout_key = jax.random.split(key, 3)
        if look_up is None:
            photos = batch["photo"]
        else:
            photos = look_up(batch["resident"], batch["index"], state.step)
        photos = augment(
            augment_key,
            photos,
            config=config.data.augment,
            fill_value=jnp.asarray(model.transformer.mean_color),
        )
        scales = draw_scales(
            zoom_key, state.step, len(photos), schedule, released=config.model.scale
        )
        (value, (model_state, logits, theta)), gradient = differentiate(
            state.params, state.model_state, (photos, batch["label"], scales), dropout_key
        )
        crops = describe_crops(theta, family=model.transformer.family)
        # Without the barrier, XLA's CPU backend keeps the squares, which Adam wants, too, as arrays
        # of their own: as much memory as the weights.
        norm = optax.tree.norm(jax.lax.optimization_barrier(gradient))
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        # XLA writes new weights over the old ones only where it knows that nothing reads those any
        # more; otherwise it copies them first. It knows when they wait for the whole gradient.
        updates = _after(norm, updates)
        metrics = {
            "loss": value,
            "accuracy": (logits.argmax(axis=-1) == batch["label"]).mean(),
            "gradient_norm": norm,
            "spread": spread(theta, family=model.transformer.family),
            **{name: each.mean() for name, each in crops.items()},
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

    options = compiler_options(deterministic=config.train.deterministic)
    return jax.jit(step, donate_argnums=0, compiler_options=options)


def compiler_options(*, deterministic: bool) -> dict[str, bool] | None:
    """What XLA is told so that a GPU computes the same to the last bit every time.

    Of every function of a run, or none: XLA's choices of one can become those of the next.
    """
    return {"xla_gpu_deterministic_ops": True} if deterministic else None


def _after(number: Array, tree: PyTree) -> PyTree:
    """Returns the tree as it is, in a way that has to wait for a number that is not negative."""
    zero = jnp.where(number < 0, number, 0.0)
    return jax.tree.map(lambda leaf: leaf + zero.astype(leaf.dtype), tree)


def make_training_forward(model: STNClassifier, config: TrainConfig) -> Forward:
    """Builds the forward pass of training: one crop a photo, or several glimpses."""

    def forward(
        params: PyTree,
        model_state: PyTree,
        photos: Array,
        scales: Array | None,
        key: Key[Array, ""],
    ) -> tuple[tuple[Array, Array], PyTree]:
        dropout_key, glimpse_key = jax.random.split(key)
        outputs, model_state = model.apply(
            {"params": params, **model_state},
            photos,
            train=True,
            scale=scales,
            rngs={"dropout": dropout_key, "glimpses": glimpse_key},
            mutable=list(model_state),
            **glimpses,
        )
        return outputs[:2], model_state

    glimpses = {}
    if config.glimpses:
        glimpses = {"method": "glimpse", "count": config.glimpses, "explore": config.explore}
    return forward


def accumulated(differentiate: Differentiate, *, parts: int) -> Differentiate:
    """Computes loss and gradient of a batch in equal parts, one after another.

    The means are those of the whole batch, up to rounding. Layers that look at the batch as a
    whole (batch normalisation) see the parts instead.
    """
    if parts == 1:
        return differentiate

    def divide(whole: Array) -> Array:
        # Strided, so that every part of a batch that is divided over devices is, too.
        return whole.reshape(-1, parts, *whole.shape[1:]).swapaxes(0, 1)

    def unite(divided: Array) -> Array:
        return divided.swapaxes(0, 1).reshape(-1, *divided.shape[2:])

    def in_parts(
        params: PyTree, model_state: PyTree, batch: Part, key: Key[Array, ""]
    ) -> tuple[tuple[Array, tuple[PyTree, Array, Array]], PyTree]:
        def add(carry: tuple[PyTree, PyTree], inputs: tuple[Key[Array, ""], Part]):
            total, model_state = carry
            part_key, part = inputs
            (value, (model_state, logits, theta)), gradient = differentiate(
                params, model_state, part, part_key
            )
            return (optax.tree.add(total, gradient), model_state), (value, logits, theta)

        zeros = jax.tree.map(jnp.zeros_like, params)
        inputs = (jax.random.split(key, parts), jax.tree.map(divide, batch))
        (total, model_state), (values, logits, theta) = jax.lax.scan(
            add, (zeros, model_state), inputs
        )
        gradient = jax.tree.map(lambda leaf: leaf / parts, total)
        return (values.mean(), (model_state, unite(logits), unite(theta))), gradient

    return in_parts


def make_eval_step(
    model: STNClassifier,
    *,
    class_weights: Float[np.ndarray, " label"] | None = None,
    deterministic: bool = False,
) -> EvalStep:
    """Builds the compiled evaluation of one batch.

    Args:
      model: the network.
      class_weights: how much a photo of each class counts; None: all the same.
      deterministic: the same to the last bit every time, on a GPU too.

    Returns:
      (variables, batch) -> sums over the photos whose `mask` is True: loss, accuracy, what
      `describe_crops` says, and weight. Divide by weight at the end: every photo then counts
      exactly once, whatever the batch size.
    """

    def step(variables: PyTree, batch: Batch) -> Metrics:
        logits, theta, _ = model.apply(variables, batch["photo"], train=False)
        each = {
            "loss": optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"]),
            "accuracy": (logits.argmax(axis=-1) == batch["label"]).astype(jnp.float32),
            **describe_crops(theta, family=model.transformer.family),
        }
        weight = jnp.ones(len(logits))
        if class_weights is not None:
            weight = jnp.asarray(class_weights, jnp.float32)[batch["label"]]
        # where, not a product: padding may hold anything, and NaN times 0 is NaN.
        each = {name: weight * value for name, value in each.items()} | {"weight": weight}
        return {name: jnp.where(batch["mask"], value, 0).sum() for name, value in each.items()}

    return jax.jit(step, compiler_options=compiler_options(deterministic=deterministic))


def equal_weights(
    labels: Int[np.ndarray, " photo"], num_classes: int
) -> Float[np.ndarray, " label"]:
    """Weights of photos by class, with which the photos of every class together count alike.

    Args:
      labels: the class of each photo.
      num_classes: how many classes there are.

    Returns:
      For each class photos / (num_classes * photos of the class): over the photos their mean is 1
      where every class has some. The weight of a class that has none counts for nothing.
    """
    counts = np.bincount(labels, minlength=num_classes)
    return len(labels) / (num_classes * np.maximum(counts, 1))


def draw_scales(
    key: Key[Array, ""],
    step: Int[Array, ""],
    count: int,
    schedule: ZoomScheduleConfig,
    *,
    released: float,
) -> Float[Array, " count"] | None:
    """Draws a base scale for each photo, log-uniform below an upper end that falls over the run.

    From the schedule's release on, every one is `released`; None where there is no schedule.
    """
    if not schedule.steps:
        return None
    progress = jnp.clip(step / schedule.steps, 0, 1)
    high = schedule.high_from + (schedule.high_to - schedule.high_from) * progress
    draws = jax.random.uniform(key, (count,)) if schedule.jitter else jnp.ones(count)
    scales = jnp.exp(jnp.log(schedule.low) + draws * (jnp.log(high) - jnp.log(schedule.low)))
    if schedule.release is None:
        return scales
    return jnp.where(step < schedule.release, scales, released)


def describe_crops(
    theta: Float[Array, "batch ..."], *, family: str
) -> dict[str, Float[Array, " batch"]]:
    """Says of each crop how large it is, how much of it is outside the photo, and how distorted.

    Returns:
      scale: side of a square of the crop's area, in photo sides.
      outside: share of the crop that lies outside the photo.
      condition: ratio of the longest stretch of the map to the shortest, from the crop's middle
        lines; 1 for a crop of the photo's own shape, however small, and 0 for a single point.
    """
    points = _lattice(theta, family)
    outside = (jnp.abs(points) > 1).any(axis=-1).mean(axis=(1, 2))
    middle = _LATTICE // 2
    across = (points[:, middle, -1] - points[:, middle, 0]) / _LATTICE_SPAN
    down = (points[:, -1, middle] - points[:, 0, middle]) / _LATTICE_SPAN
    # In units of a power of 2 near the longest, so that no square is too small for float32.
    longest = jnp.maximum(jnp.abs(across), jnp.abs(down)).max(axis=-1)
    _, exponent = jnp.frexp(longest)
    across, down = (jnp.ldexp(side, -exponent[:, None]) for side in (across, down))
    squares = (across**2 + down**2).sum(axis=-1)
    area = jnp.abs(across[:, 0] * down[:, 1] - across[:, 1] * down[:, 0])
    # Largest over smallest singular value, from their squares' sum and their product.
    root = jnp.sqrt(jnp.maximum(squares**2 - 4 * area**2, 0))
    condition = (squares + root) / jnp.maximum(2 * area, _TINY)
    scale = jnp.ldexp(jnp.sqrt(area), exponent)
    return {"scale": scale, "outside": outside, "condition": condition}


def spread(theta: Float[Array, "batch ..."], *, family: str) -> Float[Array, ""]:
    """How much the crops of a batch differ: mean standard deviation of a point, in photo sides."""
    return _lattice(theta, family).std(axis=0).mean() / 2


def _lattice(theta: Float[Array, "batch ..."], family: str) -> Float[Array, "batch rows columns 2"]:
    """Where a lattice of points of the crop lies on the photo, bounded: JSON knows no infinity."""
    grid = {"projective": projective_grid, "tps": thin_plate_spline_grid}.get(family, affine_grid)
    return jnp.clip(grid(theta, (_LATTICE, _LATTICE)), -_FAR, _FAR)
