"""Training photos that stay on the devices: a batch is then a list of places and labels.

A run with photos of a folder is the same to the last bit wherever they wait. Digits that are made
anew for every step may differ by a grey level in a rare pixel, being distorted by another program.

Every device holds the whole set. Looking a photo up needs no other device so, and every process
reads the whole set once, at the start; what is too large for that is read ahead from the host.
"""

import concurrent.futures
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Literal, SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PyTree, Shaped, UInt8

from stn_jax.config import ConfigError
from stn_jax.data.split import DeviceSplit, HostBatch, Split
from stn_jax.training.devices import agree_on
from stn_jax.training.memory import accelerator_bytes, device_bytes

LookUp = Callable[[PyTree, Int[Array, " batch"], Int[Array, ""]], UInt8[Array, "batch h w c"]]
"""(arrays, places, step) -> photos, inside the compiled step."""

AUTO_SHARE = 1 / 4
"""Part of an accelerator's memory that `data.cache=auto` fills with photos at most."""
_CHUNK_BYTES = 1 << 26


@dataclasses.dataclass(frozen=True)
class ResidentSplit:
    """A split for `train_dataset` whose batches hold labels and places, no photos.

    Attributes:
      split: where the photos come from.
      nbytes: what they take of each device's memory.
      load: puts them there, in a sharding that must be a replicated one.
      look_up: finds the photos of a batch in what `load` returned.
    """

    split: Split
    nbytes: int
    load: Callable[[jax.sharding.Sharding], PyTree]
    look_up: LookUp

    @property
    def labels(self) -> np.ndarray:
        """Class of every photo, int32."""
        return self.split.labels

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]:
        return self.split[index]

    def make_batch(self, places: np.ndarray, step: int) -> HostBatch:
        """What travels to the devices for a step, whichever it is."""
        return {"label": self.labels[places], "index": places.astype(np.int32)}

    def attach(
        self, batches: Iterator[dict[str, jax.Array]], sharding: jax.sharding.Sharding
    ) -> Iterator[dict[str, Any]]:
        """Loads the photos and adds them, as `resident`, to every batch."""
        arrays = self.load(sharding)
        return ({**batch, "resident": arrays} for batch in batches)


def make_resident(split: Split) -> ResidentSplit:
    """Describes a split whose photos are to stay on the devices; nothing is read yet."""
    if isinstance(split, DeviceSplit):
        return ResidentSplit(
            split,
            nbytes=sum(leaf.nbytes for leaf in jax.tree.leaves(split.arrays)),
            load=lambda sharding: jax.tree.map(lambda a: _send(a, sharding), split.arrays),
            look_up=_apart(split.make_photos),
        )
    return ResidentSplit(
        split,
        nbytes=len(split) * split[0]["photo"].nbytes,
        load=lambda sharding: _stack(split, sharding),
        look_up=_apart(lambda photos, places, step: photos[places]),
    )


def keep_resident(
    split: Split, cache: Literal["auto", "device", "host"], *, beside: int
) -> ResidentSplit | None:
    """Decides, for all processes alike, whether the photos stay on the devices.

    Args:
      split: the training photos.
      cache: `data.cache`.
      beside: bytes of the weights and moments, which every device holds, too.

    Returns:
      The photos as they are to be kept; None when they are to travel.

    Raises:
      ConfigError: when they are to stay and there is no room for them.
    """
    if cache == "host":
        return None
    resident = make_resident(split)
    if cache == "auto":
        fits = resident.nbytes <= AUTO_SHARE * (accelerator_bytes() or 0)
        return resident if agree_on(int(fits)) else None
    room = device_bytes() - beside
    if agree_on(int(resident.nbytes > room)):
        raise ConfigError(
            f"--data.cache device: the {len(split)} training photos take "
            f"{resident.nbytes / 1e9:.3g} GB, and each device has {max(room, 0) / 1e9:.3g} GB "
            "beside the weights: use --data.cache host, or a smaller --data.photo-size"
        )
    return resident


def _apart(look_up: LookUp) -> LookUp:
    """Keeps the compiler from merging the look-up with what follows.

    The rest of the step is then compiled as it is for photos that travelled: the same bits.
    """
    return lambda *arguments: jax.lax.optimization_barrier(look_up(*arguments))


def _stack(split: Split, sharding: jax.sharding.Sharding) -> UInt8[Array, "count h w c"]:
    """Sends the photos in chunks into an array that is made on the devices, to hold each once."""
    shape = split[0]["photo"].shape
    photos = jax.jit(lambda: jnp.zeros((len(split), *shape), jnp.uint8), out_shardings=sharding)()
    write = jax.jit(
        lambda photos, chunk, start: jax.lax.dynamic_update_slice_in_dim(photos, chunk, start, 0),
        donate_argnums=0,
        out_shardings=sharding,
    )
    length = max(1, _CHUNK_BYTES // int(np.prod(shape)))
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for start in range(0, len(split), length):
            places = range(start, min(start + length, len(split)))
            chunk = np.stack(list(pool.map(lambda place: split[place]["photo"], places)))
            photos = write(photos, _send(chunk, sharding), start)
    return photos


def _send(
    array: Shaped[np.ndarray, "..."], sharding: jax.sharding.Sharding
) -> Shaped[Array, "..."]:
    return jax.make_array_from_process_local_data(sharding, array)
