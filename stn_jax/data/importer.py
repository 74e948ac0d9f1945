"""Photos into array_record files, by several processes at once.

Every process reads, sizes and writes its own shards, so no pixel travels between processes. This
one works as the others do; those are spawned: one that already runs JAX's threads must not be
forked.
"""

import concurrent.futures
import contextlib
import dataclasses
import json
import math
import multiprocessing
import multiprocessing.synchronize
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Protocol, runtime_checkable

import numpy as np
from array_record.python.array_record_module import ArrayRecordWriter

from stn_jax.data.audit import Print, make_print
from stn_jax.data.errors import DataError
from stn_jax.data.folder import Entry
from stn_jax.data.generators import Generator
from stn_jax.data.photo import (
    Fit,
    PhotoError,
    PhotoMemoryError,
    PhotoUnreadableError,
    Pixels,
    load_unpadded,
)
from stn_jax.data.records import encode_record

Box = tuple[float, float, float, float]

# Uncompressed: reading a 630x945 photo takes 0.4 ms instead of 1.7 with zstd, writing 2 instead
# of 10. One record a group, so that reading one photo reads nothing else.
_RECORD_OPTIONS = "group_size:1,uncompressed"
_NO_BOX = (math.nan,) * 4


@dataclasses.dataclass(frozen=True)
class Reading:
    """What a reader makes of an entry.

    Attributes:
      pixels: uint8 RGB at the configured size, without padding.
      box: of the lesion, (x0, y0, x1, y1) in `pixels`; NaN where unknown.
      enlarged: the file has fewer pixels than `pixels`.
      original_size: height and width in the file; None: those of `pixels`.
    """

    pixels: Pixels
    box: Box = _NO_BOX
    enlarged: bool = False
    original_size: tuple[int, int] | None = None


@runtime_checkable
class Reader(Protocol):
    """Reads one entry; travels to the worker processes, so it must survive pickling.

    Attributes:
      size: height and width that no photo exceeds.
    """

    size: tuple[int, int]

    def __call__(self, entry: Entry) -> Reading:
        """Reads the entry, or raises `PhotoError`."""
        ...


@dataclasses.dataclass(frozen=True)
class FileReader:
    """Reads photos from files under `root`; the options are those of `photo.load_photo`."""

    root: str
    size: tuple[int, int]
    fit: Fit
    rotate_to_fit: bool
    max_megapixels: float
    max_file_bytes: float

    def __call__(self, entry: Entry) -> Reading:
        """Reads one file."""
        photo = load_unpadded(
            Path(self.root) / entry.file,
            name=entry.file,
            size=self.size,
            fit=self.fit,
            rotate_to_fit=self.rotate_to_fit,
            max_megapixels=self.max_megapixels,
            max_file_bytes=self.max_file_bytes,
        )
        return Reading(
            pixels=photo.pixels,
            enlarged=min(photo.scale) > 1,
            original_size=photo.original_size,
        )


@dataclasses.dataclass(frozen=True)
class SyntheticReader:
    """Generates the photos whose index is in their metadata."""

    generator: Generator

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the photos, in pixels."""
        return self.generator.size

    def __call__(self, entry: Entry) -> Reading:
        """Generates one photo."""
        made = self.generator(int(entry.metadata["index"]))
        return Reading(pixels=made.photo, box=tuple(np.asarray(made.box).tolist()))


@dataclasses.dataclass(frozen=True)
class Shard:
    """One file to write and the photos that go into it."""

    path: str
    entries: tuple[Entry, ...]
    labels: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Imported:
    """What is known of a photo that was taken.

    Attributes:
      entry: where it came from.
      label: index of its class.
      print: to find duplicates.
      color_sum: of its pixels, without padding, by channel.
      pixel_count: how many pixels that were.
      enlarged: the file has fewer pixels than the photo size asks for.
      original_size: height and width in the file.
    """

    entry: Entry
    label: int
    print: Print
    color_sum: tuple[int, int, int]
    pixel_count: int
    enlarged: bool
    original_size: tuple[int, int]


@dataclasses.dataclass(frozen=True)
class ShardResult:
    """What became of a shard: photos in the order written, and refusals as file -> reason."""

    photos: list[Imported]
    refused: dict[str, str]
    num_bytes: int


def write_shards(shards: Sequence[Shard], reader: Reader) -> Iterator[tuple[int, ShardResult]]:
    """Writes every shard, on all cores, and yields (index, result) as they are finished.

    One or two shards are written in this process: starting others would take longer. An exception
    in this process, such as an interruption, ends the others after the photo they are at.

    Raises:
      DataError: when a worker process dies.
    """
    workers = min(_cores(), len(shards)) - 1
    if workers < 1 or len(shards) <= 2:
        for index, shard in enumerate(shards):
            yield index, write_shard(shard, reader)
        return
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    with concurrent.futures.ProcessPoolExecutor(
        workers, context, initializer=_start_worker, initargs=(stop,)
    ) as pool:
        try:
            # A process whose start is interrupted here complains there. And Ctrl-C reaches every
            # process of a terminal; only this one is to answer it.
            with _blocked(signal.SIGINT, signal.SIGTERM):
                waiting = {
                    index: pool.submit(_write_unless_claimed, shard, reader)
                    for index, shard in enumerate(shards)
                }
            # The others begin with the first shard, this one with the last.
            for index in reversed(range(len(shards))):
                if not _claim(shards[index]):
                    break
                del waiting[index]
                yield index, write_shard(shards[index], reader)
                for done in [other for other, future in waiting.items() if future.done()]:
                    yield done, waiting.pop(done).result()
            indices = {future: index for index, future in waiting.items()}
            for future in concurrent.futures.as_completed(indices):
                yield indices[future], future.result()
        except concurrent.futures.BrokenExecutor as error:
            raise DataError(
                "an import process died: out of memory (lower --data.max-megapixels), or a script "
                'without `if __name__ == "__main__":` around its calls'
            ) from error
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)


def write_shard(
    shard: Shard, reader: Reader, *, stopped: Callable[[], bool] = lambda: False
) -> ShardResult:
    """Reads the photos of a shard and writes them to its file.

    Args:
      shard: what to write, and where.
      reader: how to read an entry.
      stopped: asked before each photo; True leaves the rest out.

    Raises:
      DataError: when there is no memory for a photo, its file cannot be read any more, or there is
        no room on the disk.
    """
    photos, refused, num_bytes = [], {}, 0
    writer = ArrayRecordWriter(shard.path, _RECORD_OPTIONS)
    for entry, label in zip(shard.entries, shard.labels, strict=True):
        if stopped():
            break
        try:
            with warnings.catch_warnings():
                # What a decoder has to say about a photo is in the report.
                warnings.simplefilter("ignore")
                reading = reader(entry)
        except PhotoMemoryError as error:
            # Kept as refused, it would be missing where there is enough, too.
            raise DataError(f"{error}: lower --data.max-megapixels, or free some") from error
        except PhotoUnreadableError as error:
            # So would this one, if it is back the next time.
            raise DataError(
                f"{error} any more, as it could a moment ago: run the same command again; if it "
                "says so again, let the file be read, or remove it"
            ) from error
        except PhotoError as error:
            refused[entry.file] = error.reason
            continue
        record = _encode(entry, label, reading)
        with _saying_where(shard):
            writer.write(record)
        num_bytes += len(record)
        photos.append(_imported(entry, label, reading))
    with _saying_where(shard):
        writer.close()
    return ShardResult(photos, refused, num_bytes)


@contextlib.contextmanager
def _saying_where(shard: Shard) -> Iterator[None]:
    """Turns what ArrayRecord raises when a disk is full into what a person can mend."""
    try:
        yield
    except RuntimeError as error:
        raise DataError(
            f"--data.cache-dir: cannot write {shard.path}: {str(error).splitlines()[0]}"
        ) from error


def _encode(entry: Entry, label: int, reading: Reading) -> bytes:
    metadata = json.dumps(dict(entry.metadata), ensure_ascii=False, sort_keys=True)
    texts = {"file": entry.file, "group": entry.group, "metadata": metadata}
    return encode_record(reading.pixels, label=label, box=reading.box, texts=texts)


def _imported(entry: Entry, label: int, reading: Reading) -> Imported:
    height, width, _ = reading.pixels.shape
    return Imported(
        entry=entry,
        label=label,
        print=make_print(reading.pixels),
        color_sum=tuple(_color_sum(reading.pixels)),
        pixel_count=height * width,
        enlarged=reading.enlarged,
        original_size=reading.original_size or (height, width),
    )


def _color_sum(pixels: Pixels) -> list[int]:
    # Whole rows first, and narrow sums: ten times faster than summing both axes at once.
    height, width, _ = pixels.shape
    rows = pixels.reshape(height, width * 3)
    stripes = [rows[top : top + 256].sum(axis=0, dtype=np.uint16) for top in range(0, height, 256)]
    columns = np.sum(stripes, axis=0, dtype=np.int64)
    return columns.reshape(width, 3).sum(axis=0).tolist()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def _blocked(*numbers: signal.Signals) -> Iterator[None]:
    """Holds signals back; processes that are started meanwhile hold them back from the first."""
    came: set[int] = set()
    with _handled(numbers, lambda number, frame: came.add(number)):
        before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    for number in came:
        signal.raise_signal(number)


@contextlib.contextmanager
def _handled(
    numbers: Iterable[signal.Signals], handler: Callable[[int, FrameType | None], None]
) -> Iterator[None]:
    """Handles signals meanwhile; whichever thread they come to, Python answers in the main one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


_stop: multiprocessing.synchronize.Event
"""Set, in a worker process, when its work is no longer wanted."""


def _start_worker(stop: multiprocessing.synchronize.Event) -> None:
    global _stop
    _stop = stop
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def _write_unless_claimed(shard: Shard, reader: Reader) -> ShardResult | None:
    return write_shard(shard, reader, stopped=_stop.is_set) if _claim(shard) else None


def _claim(shard: Shard) -> bool:
    """Makes the shard's file; False if another process has made it and so is to fill it."""
    try:
        Path(shard.path).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
