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
        """Makes label and index of the photos at `places`, and what else a step needs of them."""
        ...


@runtime_checkable
class DeviceSplit(GeneratedSplit, Protocol):
    """A split whose training photos can be made inside a compiled step.

    Attributes:
      arrays: what they are made of, a tree of arrays on the host.
    """

    arrays: Any

    def make_photos(self, arrays: Any, places: Any, step: Any) -> Any:
        """The photos of `make_batch`, from `arrays` on a device; JAX can trace it."""
        ...
