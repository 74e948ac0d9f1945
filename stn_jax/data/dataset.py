"""What a configuration's photos are once they are ready for training."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stn_jax.data.split import Split


@dataclasses.dataclass(frozen=True)
class PhotoDataset:
    """A prepared data set.

    Attributes:
      splits: train, val and test.
      classes: sorted names; a label is an index into them.
      mean_color: RGB (digits: grey), 0..255, of the training photos without padding; the padding
        has it too.
      fingerprint: of the photos' contents and every option that matters, in hexadecimal.
      name: the folder's, SYNTHETIC, or MNIST and the task.
      report: what `import_report.json` holds.
    """

    splits: Mapping[str, Split]
    classes: tuple[str, ...]
    mean_color: tuple[float, ...]
    fingerprint: str
    name: str
    report: dict[str, Any]


def count_classes(splits: Mapping[str, Split], classes: Sequence[str]) -> dict[str, dict[str, int]]:
    """Photos of each class in each split: {"train": {"eczema": 12, ...}, ...}."""
    return {
        name: dict(
            zip(classes, np.bincount(split.labels, minlength=len(classes)).tolist(), strict=True)
        )
        for name, split in splits.items()
    }
