"""From a configuration to a prepared data set: imported once, cached, random-access.

What is kept on disk depends on the photos and on how they are read, not on how they are divided:
all photos lie in one TFDS split, and training, validation and test are lists of places in it. So
another seed, another test size or another answer to duplicates costs no new import.
"""

import collections
import contextlib
import hashlib
import io
import json
import math
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np
import rich.console
import rich.progress
import tensorflow_datasets as tfds

from stn_jax.config import DataConfig
from stn_jax.data import cache, imported, importer
from stn_jax.data.audit import Pair, find_duplicates
from stn_jax.data.dataset import PhotoDataset, count_classes
from stn_jax.data.duplicates import Verdict, judge
from stn_jax.data.errors import DataError, printable, shortened
from stn_jax.data.folder import SPLITS, Listing
from stn_jax.data.importer import Imported, Reader, Shard, ShardResult
from stn_jax.data.photo import pad, padding
from stn_jax.data.report import make_report, print_report
from stn_jax.data.sources import Source, open_source, resolve_source
from stn_jax.data.splits import assign_splits

__all__ = ["DataError", "PhotoBuilder", "PhotoDataset", "PhotoSource", "prepare", "resolve_source"]

_STORED = "photos"
"""Name of the one TFDS split that holds every photo."""
_SMALLEST_SHARD, _SHARDS = 8, 64
_LARGE_SHARD, _MOST_SHARDS = 256, 400
"""Photos in a file, and files: each stays open while it is read, and many systems let a process
open 1024 at most, so what is beyond _LARGE_SHARD * _MOST_SHARDS goes into larger ones."""


class PhotoSource:
    """Some of the prepared photos, as a random-access source.

    `source[i]` is a dict of photo (uint8 RGB at the configured size), label, file, group (its
    patient, or the first of its copies; "" for none), box (float32 x0, y0, x1, y1 in photo pixels;
    NaN where unknown) and metadata (JSON).

    Attributes:
      labels: class index of every photo, int32, without reading any.
    """

    def __init__(
        self,
        stored: Sequence[Mapping[str, Any]],
        places: Sequence[int],
        *,
        labels: Sequence[int],
        groups: Sequence[str],
        size: tuple[int, int],
        fill_color: tuple[float, float, float],
    ):
        self._stored = stored
        self._places = places
        self._groups = groups
        self._size = size
        self._fill_color = fill_color
        self.labels = np.asarray(labels, np.int32)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]:
        record = self._stored[self._places[index]]
        pixels = record["photo"]
        top, left = padding(pixels.shape[:2], self._size)
        return {
            "photo": pad(pixels, self._size, self._fill_color),
            "label": int(record["label"]),
            "file": record["file"].decode(),
            "group": self._groups[index],
            "box": record["box"] + np.float32([left, top, left, top]),
            "metadata": record["metadata"].decode(),
        }


def prepare(data: DataConfig, *, progress: bool = True) -> PhotoDataset:
    """Imports the configured photos, or finds them in the cache, and divides them.

    Args:
      data: which photos, and how.
      progress: show a bar while importing, where standard error is a terminal, and after it a
        table of what was taken and refused.

    Raises:
      DataError: with what to change, when no trustworthy data set can be made of the photos.
    """
    data = resolve_source(data)
    if data.source == "mnist":
        # Brings JAX along, which reading photos does without.
        from stn_jax.data.mnist import prepare_digits

        return prepare_digits(data)
    built = []

    def build(empty: Path) -> None:
        built.append(empty)
        _import(source, empty, progress)

    try:
        source = open_source(data)
        folder = f"{_slug(source.name)}-{source.fingerprint[:16]}"
        directory = cache.expand(data.cache_dir) / folder
        cache.obtain(directory, build=build, is_whole=imported.is_whole)
    except OSError as error:
        raise DataError(f"--data.cache-dir {data.cache_dir}: {error}") from error
    dataset = _divide(source, directory, data)
    if progress and built and not source.generated:
        console = rich.console.Console(stderr=True, highlight=False, emoji=False)
        print_report(dataset.report, console)
    return dataset


def make_features() -> tfds.features.FeaturesDict:
    """What a record holds. The photo is stored without padding, hence its free shape."""
    return tfds.features.FeaturesDict(
        {
            "photo": tfds.features.Tensor(shape=(None, None, 3), dtype=np.uint8, encoding="bytes"),
            "label": tfds.features.Scalar(np.int64),
            "file": tfds.features.Text(),
            "group": tfds.features.Text(),
            "box": tfds.features.Tensor(shape=(4,), dtype=np.float32),
            "metadata": tfds.features.Text(),
        }
    )


class _PrivateInfo(tfds.core.DatasetInfo):
    """Facts about a data set that no public bucket knows."""

    def initialize_from_bucket(self) -> None:
        """Does not ask Google's bucket, and leaves no temporary folder as the original does."""


class PhotoBuilder(tfds.core.dataset_builder.FileReaderBuilder):
    """Photos as a TFDS data set of one split, in array_record files.

    It is a `FileReaderBuilder` like `GeneratorBasedBuilder`, which cannot serve here: that one
    keeps a split in memory, and beyond 1 GB spills it to disk through TensorFlow, which this
    project does not need. Here every worker process writes its own shards instead.
    """

    name = "photos"
    VERSION = tfds.core.Version("1.0.0")
    code_path = None  # TFDS would look beside this file for checksums of downloads

    def __init__(
        self,
        *,
        listing: Listing,
        reader: Reader,
        on_shard: Callable[[ShardResult], None] = lambda result: None,
        **options: Any,
    ):
        self._listing = listing
        self._reader = reader
        self._on_shard = on_shard
        self.results: list[ShardResult] = []
        super().__init__(file_format="array_record", **options)

    def _info(self) -> tfds.core.DatasetInfo:
        return _PrivateInfo(
            builder=self,
            description="Upright RGB photos at one size, without padding.",
            features=make_features(),
            disable_shuffling=True,
        )

    def _download_and_prepare(self, dl_manager: Any, download_config: Any = None) -> None:
        template = self._get_filename_template(split_name=_STORED)
        shards = _make_shards(self._listing, template)
        results: dict[int, ShardResult] = {}
        for index, result in importer.write_shards(shards, self._reader):
            results[index] = result
            self._on_shard(result)
        self.results = [results[index] for index in range(len(shards))]
        split = tfds.core.SplitInfo(
            name=_STORED,
            shard_lengths=[len(result.photos) for result in self.results],
            num_bytes=sum(result.num_bytes for result in self.results),
            filename_template=template,
        )
        self.info.set_splits(tfds.core.splits.SplitDict([split]))


def _make_shards(listing: Listing, template: Any) -> list[Shard]:
    entries = listing.entries
    length = _shard_length(len(entries))
    starts = range(0, len(entries), length)
    return [
        Shard(
            path=str(template.sharded_filepath(shard_index=index, num_shards=len(starts))),
            entries=entries[start : start + length],
            labels=tuple(listing.classes.index(e.label) for e in entries[start : start + length]),
        )
        for index, start in enumerate(starts)
    ]


def _shard_length(photos: int) -> int:
    usual = min(_LARGE_SHARD, max(_SMALLEST_SHARD, -(-photos // _SHARDS)))
    return max(usual, -(-photos // _MOST_SHARDS))


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("._") or "photos"


def _import(source: Source, directory: Path, progress: bool) -> None:
    entries = source.listing.entries
    _check_disk(directory, len(entries) * math.prod(source.reader.size) * 3)
    with _progress_bar(progress) as bar:
        task = bar.add_task(f"Importing {printable(source.name)}", total=len(entries))
        builder = PhotoBuilder(
            listing=source.listing,
            reader=source.reader,
            on_shard=lambda result: bar.advance(task, len(result.photos) + len(result.refused)),
            data_dir=str(directory),
        )
        with contextlib.redirect_stdout(io.StringIO()):  # TFDS announces itself there
            builder.download_and_prepare(
                download_config=tfds.download.DownloadConfig(try_download_gcs=False)
            )
    refused = {file: why for result in builder.results for file, why in result.refused.items()}
    photos = [photo for result in builder.results for photo in result.photos]
    imported.save(directory, photos, refused)


def _check_disk(directory: Path, needed: int) -> None:
    free = shutil.disk_usage(directory).free
    if needed > free:
        raise DataError(
            f"the prepared photos need up to {needed / 1e9:.1f} GB, and only {free / 1e9:.1f} GB "
            f"are free where {directory.parent} is: name another place with --data.cache-dir"
        )


def _progress_bar(progress: bool) -> rich.progress.Progress:
    console = rich.console.Console(stderr=True)
    columns = (
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TimeRemainingColumn(),
    )
    return rich.progress.Progress(
        *columns, console=console, disable=not (progress and console.is_terminal)
    )


def _divide(source: Source, directory: Path, data: DataConfig) -> PhotoDataset:
    photos, refused = imported.load(directory)
    refused |= source.listing.refused
    classes = source.listing.classes
    _check_refusals(photos, refused, classes, data.max_refused)
    stored = tfds.builder_from_directory(
        str(directory / PhotoBuilder.name / str(PhotoBuilder.VERSION))
    ).as_data_source(_STORED)
    pairs = [] if source.generated else _find_duplicates(photos, stored)
    verdict = judge(photos, pairs, drop=data.duplicates == "drop")
    places = _places(photos, verdict, classes, data)
    groups = _groups(photos, verdict.units)
    mean_color = _mean_color([photos[place] for place in places["train"]])
    splits = {
        split: PhotoSource(
            stored,
            some,
            labels=[photos[place].label for place in some],
            groups=[groups[place] for place in some],
            size=tuple(data.photo_size),
            fill_color=mean_color,
        )
        for split, some in places.items()
    }
    return PhotoDataset(
        splits=splits,
        classes=classes,
        mean_color=mean_color,
        fingerprint=_fingerprint(source, places),
        name=source.name,
        report=make_report(
            photos,
            verdict,
            name=source.name,
            photo_size=tuple(data.photo_size),
            splits=count_classes(splits, classes),
            refused=refused,
            ignored=source.listing.ignored,
            warnings=source.listing.warnings,
        ),
    )


def _places(
    photos: Sequence[Imported], verdict: Verdict, classes: Sequence[str], data: DataConfig
) -> dict[str, list[int]]:
    """Which photos are for training, validation and the test, but for those that are left out."""
    stay = [place for place in range(len(photos)) if place not in verdict.dropped]
    names = assign_splits(
        [photos[place].label for place in stay],
        [verdict.units[place] for place in stay],
        [photos[place].entry.split for place in stay],
        classes=classes,
        val_size=data.val_size,
        test_size=data.test_size,
        seed=data.split_seed,
        folds=data.folds,
        fold=data.fold,
    )
    return {
        split: [place for place, name in zip(stay, names, strict=True) if name == split]
        for split in SPLITS
    }


def _groups(photos: Sequence[Imported], units: Sequence[str]) -> list[str]:
    """The patient of each photo, or the first of its copies; "" where it is known to stand alone.

    Copies tell no more than one photo, so an evaluation must not count them as several.
    """
    count = collections.Counter(units)
    return [
        unit if photo.entry.group or count[unit] > 1 else ""
        for photo, unit in zip(photos, units, strict=True)
    ]


def _fingerprint(source: Source, places: Mapping[str, Sequence[int]]) -> str:
    text = json.dumps([source.photos_fingerprint, places])
    return hashlib.sha256(text.encode()).hexdigest()


def _find_duplicates(photos: Sequence[Imported], stored: Sequence[Mapping[str, Any]]) -> list[Pair]:
    prints = [photo.print for photo in photos]
    return find_duplicates(prints, lambda place: stored[place]["photo"])


def _check_refusals(
    photos: Sequence[Imported], refused: Mapping[str, str], classes: Sequence[str], most: float
) -> None:
    total = len(photos) + len(refused)
    listed = [f"  {printable(file)}: {printable(why)}" for file, why in refused.items()]
    details = "\n".join(["", *shortened(listed)])
    if len(refused) > most * total:
        raise DataError(
            f"{len(refused)} of {total} files were refused, more than --data.max-refused {most:g}:"
            f"{details}\nMend or remove them, or allow more with --data.max-refused"
        )
    filled = {photo.label for photo in photos}
    for label, name in enumerate(classes):
        if label not in filled:
            raise DataError(f"class {name} has no usable photo left; refused were:{details}")


def _mean_color(photos: Sequence[Imported]) -> tuple[float, float, float]:
    total = np.sum([photo.color_sum for photo in photos], axis=0)
    return tuple((total / sum(photo.pixel_count for photo in photos)).tolist())
