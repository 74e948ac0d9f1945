"""What training and evaluation need to know of a split, whatever its photos come from."""

from typing import Any, Protocol, SupportsIndex, runtime_checkable

import numpy as np

HostBatch = dict[str, np.ndarray]


@runtime_checkable
class Split(Protocol):
    """Photos by place: what `stn_jax.data.builder` prepares.

    Attributes:
      labels: class of every photo, int32.
    """

    labels: np.ndarray

    def __len__(self) -> int: ...

    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]: ...


@runtime_checkable
class GeneratedSplit(Split, Protocol):
    """A split whose photos are made anew for every training step."""

    def make_batch(self, places: np.ndarray, step: int) -> HostBatch:
        """Makes photo, label and index of the photos at `places`, for one step."""
        ...
