"""The size at which everything is measured: the paper's, or a tiny one to try the script."""

import dataclasses
from typing import Any, Literal

import numpy as np

from benchmarks.change import change
from benchmarks.gpu_sections.running import ROOT
from stn_jax.config import Config, SyntheticConfig, load

Precision = Literal["float32", "tf32", "bfloat16"]

MATMUL_PRECISIONS: dict[Precision, str] = {
    "float32": "highest",
    "tf32": "default",
    "bfloat16": "default",
}
"""JAX's name of how matrices are multiplied (`jax_default_matmul_precision`).

By default float32 is multiplied as TF32 where the chip can, also in a training with
`--train.precision float32`.
"""


@dataclasses.dataclass(frozen=True)
class Scale:
    """Sizes and counts.

    Attributes:
      photo_size: height and width.
      crop_size: height and width.
      batch_size: photos in a batch.
      model: what the network has instead of the paper's layers.
      batches: of the whole training that is timed.
      input_batches: of the training whose photos come from the disk.
      starting_seconds: without which a training does not come to its first batch.
      photos: for training.
      held_out: photos for validation, and as many for the test.
      rounds: measured rounds of a step.
      steps: in a round; also in one dispatch, where several go together.
      sampler_photos: how many times the photos of benchmarks/sampler.py's scenes.
      sampler_calls: of the sampler that are timed together.
      copied_bytes: of an array whose copying tells the memory's bandwidth.
      test_files: of the project's tests.
      memory_bytes: of the device; None: what it has.
    """

    photo_size: tuple[int, int]
    crop_size: tuple[int, int]
    batch_size: int
    model: dict[str, Any]
    batches: int
    input_batches: int
    starting_seconds: float
    photos: int
    held_out: int
    rounds: int
    steps: int
    sampler_photos: int
    sampler_calls: int
    copied_bytes: int
    test_files: tuple[str, ...]
    memory_bytes: int | None = None

    def config(
        self, precision: Precision, *, batch_size: int | None = None, **train: Any
    ) -> Config:
        """The paper's experiment at this scale, on generated photos."""
        paper = load(ROOT / "configs" / "derm.py")
        synthetic = SyntheticConfig(train=self.photos, val=self.held_out, test=self.held_out)
        own = {
            "batch_size": batch_size or self.batch_size,
            "precision": "bfloat16" if precision == "bfloat16" else "float32",
            "patience": 0,
        }
        return change(
            paper,
            data={
                "source": "synthetic",
                "photo_size": self.photo_size,
                "synthetic": synthetic,
            },
            model={"crop_size": self.crop_size, **self.model},
            train={**own, **train},
        )


FULL = Scale(
    photo_size=(630, 945),
    crop_size=(210, 315),
    batch_size=15,
    model={},
    batches=10_000,
    input_batches=300,
    starting_seconds=40,
    photos=300,
    held_out=30,
    rounds=5,
    steps=20,
    sampler_photos=16,
    sampler_calls=20,
    copied_bytes=1 << 30,
    test_files=(
        "tests/sampling",
        "tests/models",
        "tests/training/test_step.py",
        "tests/training/test_state.py",
        "tests/training/test_resident.py",
    ),
)
TINY = Scale(
    photo_size=(36, 54),
    crop_size=(16, 24),
    batch_size=4,
    model={
        "channels": ((4,), (8,)),
        "dense": (8,),
        "localization_channels": (4, 4),
        "localization_units": 8,
    },
    batches=30,
    input_batches=10,
    starting_seconds=0,
    photos=12,
    held_out=4,
    rounds=1,
    steps=2,
    sampler_photos=1,
    sampler_calls=1,
    copied_bytes=1 << 20,
    test_files=("tests/sampling/test_maps.py",),
    memory_bytes=1 << 26,
)


def noise(count: int, size: tuple[int, int]) -> np.ndarray:
    """Photos of noise, [count, height, width, 3] uint8."""
    random = np.random.default_rng(0)
    return random.integers(0, 256, (count, *size, 3), dtype=np.uint8)
