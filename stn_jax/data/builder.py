"""From a configuration to a prepared data set: imported once, cached, random-access.

What is kept on disk depends on the photos and on how they are read, not on how they are divided:
all photos lie in one TFDS split, and training, validation and test are lists of places in it. So
another seed, another test size or another answer to duplicates costs no new import.
"""

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np
import rich.console
import rich.progress
import tensorflow_datasets as tfds

from stn_jax.config import DataConfig
from stn_jax.data import cache, imported, importer, synthetic
from stn_jax.data.errors import DataError
from stn_jax.data.folder import SPLITS, Entry, Listing, list_photos
from stn_jax.data.importer import FileReader, Reader, Shard, ShardResult, SyntheticReader
from stn_jax.data.photo import HEIC_SUPPORTED, pad, padding
from stn_jax.data.splits import assign_splits, count_classes

__all__ = ["DataError", "PhotoBuilder", "PhotoDataset", "PhotoSource", "prepare", "resolve_source"]

_FORMAT = 1
"""Part of every fingerprint: raise it when the same photos would be stored otherwise."""
_STORED = "photos"
"""Name of the one TFDS split that holds every photo."""
_SMALLEST_SHARD, _LARGEST_SHARD, _SHARDS = 16, 256, 64


class PhotoSource:
    """Some of the prepared photos, as a random-access source.

    `source[i]` is a dict of photo (uint8 RGB at the configured size), label, file, group, box
    (float32 x0, y0, x1, y1 in photo pixels; NaN where unknown) and metadata (JSON).

    Attributes:
      labels: class index of every photo, int32, without reading any.
    """

    def __init__(
        self,
        stored: Sequence[Mapping[str, Any]],
        places: Sequence[int],
        *,
        labels: Sequence[int],
        size: tuple[int, int],
        fill_color: tuple[float, float, float],
    ):
        self._stored = stored
        self._places = places
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
            "group": record["group"].decode(),
            "box": record["box"] + np.float32([left, top, left, top]),
            "metadata": record["metadata"].decode(),
        }


@dataclasses.dataclass(frozen=True)
class PhotoDataset:
    """A prepared data set.

    Attributes:
      splits: train, val and test.
      classes: sorted names; a label is an index into them.
      mean_color: RGB, 0..255, of the training photos without padding; the padding has it too.
      fingerprint: of the photos' contents and every option that matters, in hexadecimal.
      name: the folder's, or SYNTHETIC.
      report: what `import_report.json` holds.
    """

    splits: Mapping[str, PhotoSource]
    classes: tuple[str, ...]
    mean_color: tuple[float, float, float]
    fingerprint: str
    name: str
    report: dict[str, Any]


def resolve_source(data: DataConfig) -> DataConfig:
    """Turns `source=auto` into folder (and sets its root) or synthetic.

    Raises:
      DataError: when a folder is asked for that is not there.
    """
    if data.source == "synthetic":
        return data
    root = data.root or data.default_root
    if data.root is None and data.source == "auto" and not Path(root).is_dir():
        return dataclasses.replace(data, source="synthetic")
    if not Path(root).is_dir():
        raise DataError(f"--data.root {root}: no such folder")
    source = "folder" if data.source == "auto" else data.source
    return dataclasses.replace(data, source=source, root=root)


def prepare(data: DataConfig, *, progress: bool = True) -> PhotoDataset:
    """Imports the configured photos, or finds them in the cache, and divides them.

    Args:
      data: which photos, and how.
      progress: show a bar while importing, where standard error is a terminal.

    Raises:
      DataError: with what to change, when no trustworthy data set can be made of the photos.
    """
    data = resolve_source(data)
    plan = _make_plan(data)
    directory = cache.obtain(
        Path(data.cache_dir).expanduser() / f"{_slug(plan.name)}-{plan.key[:16]}",
        build=lambda empty: _import(plan, empty, progress),
        is_whole=imported.is_whole,
    )
    return _divide(plan, directory, data)


@dataclasses.dataclass(frozen=True)
class _Plan:
    """What to import: from where, which photos, how, and the key under which it is cached."""

    name: str
    listing: Listing
    reader: Reader
    key: str


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
        return tfds.core.DatasetInfo(
            builder=self,
            description="Upright RGB photos at one size, without padding.",
            features=importer.make_features(),
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
    length = min(_LARGEST_SHARD, max(_SMALLEST_SHARD, -(-len(entries) // _SHARDS)))
    starts = range(0, len(entries), length)
    return [
        Shard(
            path=str(template.sharded_filepath(shard_index=index, num_shards=len(starts))),
            entries=entries[start : start + length],
            labels=tuple(listing.classes.index(e.label) for e in entries[start : start + length]),
        )
        for index, start in enumerate(starts)
    ]


def _make_plan(data: DataConfig) -> _Plan:
    size = tuple(data.photo_size)
    if data.source == "synthetic":
        reader = SyntheticReader(size=size, seed=data.synthetic.seed)
        listing = _synthetic_listing(data)
        generator = hashlib.sha256(Path(synthetic.__file__).read_bytes()).hexdigest()
        return _Plan("SYNTHETIC", listing, reader, _key(listing, reader, generator))
    root = Path(data.root)
    listing = list_photos(root)
    reader = FileReader(
        root=str(root),
        size=size,
        fit=data.fit,
        rotate_to_fit=data.rotate_to_fit,
        max_megapixels=data.max_megapixels,
        max_file_bytes=data.max_file_megabytes * 1e6,
    )
    contents = _hash_files(root, [entry.file for entry in listing.entries])
    # Where the folder lies says nothing about its photos.
    placeless = dataclasses.replace(reader, root="")
    key = _key(listing, placeless, [contents, HEIC_SUPPORTED])
    return _Plan(root.resolve().name, listing, reader, key)


def _synthetic_listing(data: DataConfig) -> Listing:
    counts = (data.synthetic.train, data.synthetic.val, data.synthetic.test)
    names = [split for split, count in zip(SPLITS, counts, strict=True) for _ in range(count)]
    entries = tuple(
        Entry(
            file=f"synthetic-{index:06d}",
            label=synthetic.CLASSES[index % len(synthetic.CLASSES)],
            split=split,
            group=f"synthetic-{index:06d}",
            metadata={"index": str(index)},
        )
        for index, split in enumerate(names)
    )
    return Listing(entries=entries, classes=synthetic.CLASSES, refused={}, ignored=())


def _key(listing: Listing, reader: Reader, contents: Any) -> str:
    parts = [_FORMAT, dataclasses.asdict(listing), dataclasses.asdict(reader), contents]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _hash_files(root: Path, files: Sequence[str]) -> list[str]:
    def hash_file(file: str) -> str:
        try:
            with (root / file).open("rb") as content:
                return hashlib.file_digest(content, "sha256").hexdigest()
        except OSError as error:
            return f"unreadable: {error.strerror}"

    with concurrent.futures.ThreadPoolExecutor() as pool:
        return list(pool.map(hash_file, files))


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("._") or "photos"


def _import(plan: _Plan, directory: Path, progress: bool) -> None:
    with _progress_bar(progress) as bar:
        task = bar.add_task(f"Importing {plan.name}", total=len(plan.listing.entries))
        builder = PhotoBuilder(
            listing=plan.listing,
            reader=plan.reader,
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


def _divide(plan: _Plan, directory: Path, data: DataConfig) -> PhotoDataset:
    photos, refused = imported.load(directory)
    refused |= plan.listing.refused
    classes = plan.listing.classes
    labels = [photo.label for photo in photos]
    names = assign_splits(
        labels,
        [photo.entry.group or photo.entry.file for photo in photos],
        [photo.entry.split for photo in photos],
        classes=classes,
        val_size=data.val_size,
        test_size=data.test_size,
        seed=data.split_seed,
    )
    training = [p for p, name in zip(photos, names, strict=True) if name == "train"]
    mean = np.sum([p.color_sum for p in training], axis=0) / sum(p.pixel_count for p in training)
    mean_color = tuple(mean.tolist())
    stored = tfds.builder_from_directory(
        str(directory / PhotoBuilder.name / str(PhotoBuilder.VERSION))
    ).as_data_source(_STORED)
    places = {split: [i for i, name in enumerate(names) if name == split] for split in SPLITS}
    return PhotoDataset(
        splits={
            split: PhotoSource(
                stored,
                places[split],
                labels=[labels[i] for i in places[split]],
                size=tuple(data.photo_size),
                fill_color=mean_color,
            )
            for split in SPLITS
        },
        classes=classes,
        mean_color=mean_color,
        fingerprint=hashlib.sha256(json.dumps([plan.key, names]).encode()).hexdigest(),
        name=plan.name,
        report={
            "taken": len(photos),
            "refused": refused,
            "splits": count_classes(names, labels, classes),
        },
    )
