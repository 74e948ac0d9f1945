"""From a prepared split to batches on the devices, random access by step."""

import concurrent.futures
import os
from collections import deque
from collections.abc import Iterator
from typing import Any, SupportsIndex

import grain
import jax
import numpy as np

from stn_jax.data.errors import DataError
from stn_jax.data.split import GeneratedSplit, HostBatch, Split

_READ_THREADS = min(8, os.cpu_count() or 1)
_READ_AHEAD = 8


def train_dataset(
    split: Split,
    *,
    batch_size: int,
    seed: int,
    balance: bool = False,
    shard: tuple[int, int] = (0, 1),
) -> grain.MapDataset:
    """Endless shuffled batches; element i is the batch of step i, whatever was read before.

    Every epoch has its own order. With several hosts, each holds its part of the same global batch.

    Args:
      split: items with `photo` [height, width, channel] uint8 and `label`, or generated batches.
      batch_size: photos in a global batch.
      seed: of the order.
      balance: draw every class equally often, repeating the photos of the rarer ones.
      shard: (index, count) of this host.

    Returns:
      A dataset of {photo [b, height, width, channel] uint8, label [b] int32, index [b] int32},
      where b = batch_size / shard count, and the index is the photo's place in the split.

    Raises:
      DataError: when the batch is larger than the split or not divisible over the hosts.
    """
    if batch_size > len(split):
        raise DataError(
            f"--train.batch-size {batch_size} is larger than the training split of {len(split)} "
            f"photos: use at most {len(split)}, or add photos"
        )
    index, count = shard
    if batch_size % count:
        raise DataError(f"--train.batch-size {batch_size} must be divisible by the {count} hosts")
    order = _balanced_order(split, seed) if balance else _shuffled(np.arange(len(split)), seed)
    local = batch_size // count
    # A stretch of every global batch: which photo stands where in it does not depend on the hosts.
    part = slice(index * local, (index + 1) * local)
    batches = order.batch(batch_size, drop_remainder=True)
    if balance:
        # The classes take turns, and every second photo, which may be a part of a batch or a
        # device's, would be of one class.
        batches = batches.random_map(lambda places, rng: rng.permutation(places), seed=seed)
    if isinstance(split, GeneratedSplit):
        return batches.map_with_index(lambda step, places: split.make_batch(places[part], step))
    return batches.map(lambda places: _load_batch(split, places[part]))


def train_batches(dataset: grain.MapDataset, *, start: int) -> Iterator[HostBatch]:
    """Reads the batches from step `start` on, ahead of their use, in threads."""
    options = grain.ReadOptions(num_threads=_READ_THREADS, prefetch_buffer_size=_READ_AHEAD)
    iterator = iter(dataset.to_iter_dataset(options))
    iterator.set_state({"next_index": start})
    return iterator


def eval_batches(
    split: Split, *, batch_size: int, shard: tuple[int, int] = (0, 1)
) -> Iterator[HostBatch]:
    """Reads every photo once, in order; `mask` is False where the last batch is filled up.

    Args:
      split: items with `photo` and `label`.
      batch_size: photos in a global batch, divisible by the number of hosts.
      shard: (index, count) of this host; all hosts get equally many batches.
    """
    index, count = shard
    local = batch_size // count
    for start in range(0, len(split), batch_size):
        places = start + index * local + np.arange(local)
        mask = places < len(split)
        batch = _load_batch(split, np.minimum(places, len(split) - 1))
        yield {**batch, "mask": mask}


def to_devices(
    batches: Iterator[HostBatch], sharding: jax.sharding.Sharding, *, ahead: int = 2
) -> Iterator[dict[str, jax.Array]]:
    """Sends batches to the devices, split over them, up to `ahead` before their use.

    A thread of its own waits for the later ones, so that a batch that is there can be used.
    """

    def send() -> dict[str, jax.Array] | None:
        batch = next(batches, None)
        return batch and {
            name: jax.make_array_from_process_local_data(sharding, value)
            for name, value in batch.items()
        }

    sender = concurrent.futures.ThreadPoolExecutor(1, "to-devices")
    try:
        queue = deque(sender.submit(send) for _ in range(ahead))
        while batch := queue.popleft().result():
            queue.append(sender.submit(send))
            yield batch
    finally:
        # Without waiting: this may run in any thread, even in the sender's own.
        sender.shutdown(wait=False, cancel_futures=True)


def _shuffled(places: np.ndarray, seed: int) -> grain.MapDataset:
    return grain.MapDataset.source(places).seed(seed).shuffle().repeat()


def _balanced_order(split: Split, seed: int) -> grain.MapDataset:
    labels = split.labels
    each_class = [
        _shuffled(np.flatnonzero(labels == label), seed + offset)
        for offset, label in enumerate(np.unique(labels))
    ]
    return grain.MapDataset.mix(each_class)


def _load_batch(split: Split, places: np.ndarray) -> HostBatch:
    items = [_load(split, place) for place in places]
    return {name: np.stack([item[name] for item in items]) for name in items[0]}


def _load(split: Split, place: SupportsIndex) -> dict[str, Any]:
    item = split[int(place)]
    return {
        "photo": item["photo"],
        "label": np.int32(item["label"]),
        "index": np.int32(place),
    }
