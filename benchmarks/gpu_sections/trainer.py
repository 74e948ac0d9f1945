"""The training step of stn_jax on photos that are on the device already."""

import time
from collections.abc import Mapping
from typing import Any, SupportsIndex

import jax
import numpy as np

from benchmarks.gpu_sections.scale import MATMUL_PRECISIONS, Precision, Scale, noise
from stn_jax.models import make_model
from stn_jax.training.devices import make_shardings
from stn_jax.training.resident import make_resident
from stn_jax.training.state import init_state, make_optimizer
from stn_jax.training.step import Batch, TrainStep, make_train_step

MEAN_COLOR = (127.5, 127.5, 127.5)


class NoisePhotos:
    """A split of noise, in the host's memory."""

    def __init__(self, count: int, size: tuple[int, int]):
        self.photos = noise(count, size)
        self.labels = (np.arange(count) % 2).astype(np.int32)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]:
        return {"photo": self.photos[index], "label": self.labels[index]}


class Trainer:
    """A compiled step with its state and photos.

    Args:
      scale: sizes.
      precision: of the networks' arithmetic.
      batch_size: photos in a batch; the scale's by default.
      resident: look the batch's photos up among more that are on the device, as
        `--data.cache device` does.
      together: steps that go to the device in one dispatch, by `lax.scan`; needs `resident`.
      options: XLA's.

    Attributes:
      state: of the training.
      compiled: the step, or the steps that go together.
      compile_seconds: how long that took.
    """

    def __init__(
        self,
        scale: Scale,
        precision: Precision,
        *,
        batch_size: int | None = None,
        resident: bool = False,
        together: int | None = None,
        options: Mapping[str, Any] | None = None,
    ):
        config = scale.config(precision, batch_size=batch_size)
        self.batch_size = config.train.batch_size
        self._together = together or 1
        batch_sharding, self._sharding = make_shardings(config.train)
        model = make_model(
            config.model,
            num_classes=2,
            mean_color=MEAN_COLOR,
            precision=config.train.precision,
        )
        optimizer = make_optimizer(config.train)
        if resident:
            kept = make_resident(NoisePhotos(scale.photos, scale.photo_size))
            step = make_train_step(model, optimizer, config, look_up=kept.look_up)
            shape = (self.batch_size,) if together is None else (together, self.batch_size)
            places = np.resize(np.arange(len(kept)), shape)
            self._batch = kept.make_batch(places, 0) | {"resident": kept.load(self._sharding)}
        else:
            step = make_train_step(model, optimizer, config)
            photos = NoisePhotos(self.batch_size, scale.photo_size)
            self._batch = {"photo": photos.photos, "label": photos.labels}
            self._batch = jax.device_put(self._batch, batch_sharding)
        if together is not None:
            step = _scan(step)
        self.state = jax.jit(
            lambda: init_state(
                model, optimizer, photo_size=scale.photo_size, num_channels=3, seed=0
            ),
            out_shardings=self._sharding,
        )()
        before = time.perf_counter()
        with jax.default_matmul_precision(MATMUL_PRECISIONS[precision]):
            lowered = step.lower(self.state, self._batch)
        self.compiled = lowered.compile(compiler_options=dict(options or {}))
        self.compile_seconds = time.perf_counter() - before

    def run(self, steps: int) -> None:
        """Takes steps, a multiple of those that go together, and waits for their end."""
        for _ in range(steps // self._together):
            self.state, _ = self.compiled(self.state, self._batch)
        jax.block_until_ready(self.state)


def _scan(step: TrainStep) -> TrainStep:
    """Several steps in one call: index and label of the batch have an axis for them in front."""

    def steps(state: Any, batch: Batch) -> tuple[Any, Any]:
        changing = {name: batch[name] for name in ("index", "label")}
        return jax.lax.scan(lambda state, part: step(state, {**batch, **part}), state, changing)

    return jax.jit(steps, donate_argnums=0)
