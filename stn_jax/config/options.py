"""Every option of an experiment, defined once.

A configuration is a frozen, hashable tree of dataclasses. Files under `configs/` return one from
`get_config()`; the command line overrides single fields (`--train.steps 100`); a run keeps the
result in its `config.json`. The text under each field is what `--help` prints.
"""

import contextlib
import dataclasses
import functools
import json
import math
import operator
import sys
import traceback
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

MOST_MEGAPIXELS = 178
"""Pillow refuses photos of more pixels as an attack, whatever `data.max_megapixels` says."""
_VIEW_SIDE = 70


_SMALLEST_SYNTHETIC = 24

MNIST_SIZES: Mapping[str, tuple[int, int]] = {
    "R": (28, 28),
    "RTS": (42, 42),
    "P": (28, 28),
    "E": (28, 28),
    "TC": (60, 60),
}
"""Height and width of the images of each task of distorted MNIST."""


class ConfigError(ValueError):
    """A configuration that cannot work, with what to change in the message."""


def _check_named(part: Any, prefix: str, *options: str) -> None:
    """Refuses folders without a name, which an empty variable of a shell makes."""
    for option in options:
        if getattr(part, option) == "":
            raise ConfigError(f"{_flag(prefix, option)} is empty: name a folder, or leave it out")


def _flag(part: str, option: str) -> str:
    return f"--{part}.{option}".replace("_", "-")


@dataclasses.dataclass(frozen=True)
class SyntheticConfig:
    """Generated photos, for `data.source = synthetic`."""

    kind: Literal["texture", "lesions"] = "texture"
    """texture: small lesions anywhere, of two kinds that only their fine texture tells apart.
    lesions: one in the middle, of sixteen kinds, by outline, border, colours and structure: to
    learn from before few real photos (--train.init-from)."""
    train: int = 2000
    """Photos to generate for training."""
    val: int = 300
    """Photos to generate for validation."""
    test: int = 600
    """Photos to generate for the test."""
    seed: int = 0
    """Seed of the generator; the same seed gives the same photos."""


@dataclasses.dataclass(frozen=True)
class MnistConfig:
    """Distorted digits, for `data.source = mnist`."""

    task: Literal["R", "RTS", "P", "E", "TC"] = "RTS"
    """Distortion: R rotation; RTS rotation, translation, scale; P projective; E elastic; TC
    translation and clutter. The photo size must be the task's: 28 28; RTS 42 42; TC 60 60."""
    seed: int = 0
    """Seed of the distortions."""


@dataclasses.dataclass(frozen=True)
class ScinConfig:
    """Which cases of Google's SCIN release to take, for `data.source = scin`."""

    conditions: tuple[str, ...] = ("Eczema", "Psoriasis")
    """The classes, as `weighted_skin_condition_label` spells them."""
    min_weight: float = 0.5
    """Least weight of a case's foremost condition."""

    def __post_init__(self):
        if len(set(self.conditions)) < 2:
            raise ConfigError("--data.scin.conditions needs two or more different conditions")
        if not 0 < self.min_weight <= 1:
            raise ConfigError(f"--data.scin.min-weight {self.min_weight} must be in (0, 1]")


@dataclasses.dataclass(frozen=True)
class AugmentConfig:
    """Random changes of the training photos; everything off by default, as in the paper."""

    flip: bool = False
    """Mirror photos left-right and top-bottom, each with probability 1/2."""
    right_angles: bool = False
    """Turn photos by a right angle or several; oblong photos, by half a turn or not at all."""
    rotate: float = 0.0
    """Rotate by up to this many degrees either way."""
    scale: float = 0.0
    """Scale by up to this fraction either way (0.1: between 1/1.1 and 1.1 times)."""
    brightness: float = 0.0
    """Add up to this fraction of the full range to every pixel, or take it away."""
    contrast: float = 0.0
    """Stretch or squeeze the distance to the photo's mean colour by up to this fraction."""
    saturation: float = 0.0
    """Stretch or squeeze the distance to grey by up to this fraction."""
    hue: float = 0.0
    """Turn the colour circle by up to this fraction of a full turn, either way."""

    def __post_init__(self):
        limits = {"rotate": 180, "scale": 9, "brightness": 1, "contrast": 1, "saturation": 1}
        for option, limit in (limits | {"hue": 0.5}).items():
            value = getattr(self, option)
            if not 0 <= value <= limit:
                raise ConfigError(f"--data.augment.{option} {value} must be in [0, {limit}]")


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which photos, and how they are read."""

    root: str | None = None
    """Folder of photos; it must exist: a sub-folder a class, train/ val/ test/, or photos.csv."""
    default_root: str = "data/derm"
    """Folder looked for when `root` is not given; where it is absent, generated photos stand in."""
    source: Literal["auto", "folder", "synthetic", "scin", "mnist"] = "auto"
    """Where photos come from; auto: the folder where there is one, else synthetic. scin, mnist: a
    folder with the SCIN release or the files of MNIST in it."""
    photo_size: tuple[int, int] = (630, 945)
    """Height and width to which every photo is brought, in pixels."""
    fit: Literal["pad", "crop", "stretch"] = "pad"
    """How a photo of another shape is brought to size: mean colour around it, cut or distorted."""
    rotate_to_fit: bool = False
    """Turn portrait photos by a right angle when the photo size is landscape, and the reverse."""
    max_megapixels: float = 64.0
    """Refuse photos of more pixels than this, before decoding them."""
    max_file_megabytes: float = 64.0
    """Refuse files larger than this."""
    val_size: float = 0.15
    """Photos kept for validation: a fraction below 1, or a count."""
    test_size: float = 0.15
    """Photos kept for the test: a fraction below 1, or a count (200: 100 of each of 2 classes)."""
    folds: int = 0
    """Divide the photos into this many tests for cross-validation, in place of one of `test_size`;
    0: one test."""
    fold: int = 0
    """Which of the `folds` is the test of this run, counted from 0."""
    split_seed: int = 0
    """Seed of the division into training, validation and test photos."""
    duplicates: Literal["error", "drop"] = "error"
    """The same photo in two splits or two classes: stop and list them, or drop them."""
    max_refused: float = 0.2
    """Stop the import when more than this fraction of the files cannot be read."""
    cache_dir: str = "~/.cache/stn_jax/photos"
    """Where prepared photos are kept, so that the next run starts at once."""
    cache: Literal["auto", "device", "host"] = "auto"
    """Where training photos wait for their step: device: all of them in every accelerator's memory;
    host: on disk, read ahead; auto: device where they fill a quarter of that memory at most."""
    balance: Literal["none", "sample"] = "none"
    """sample: draw every class equally often in training, and count them alike in validation."""
    synthetic: SyntheticConfig = SyntheticConfig()
    scin: ScinConfig = ScinConfig()
    mnist: MnistConfig = MnistConfig()
    augment: AugmentConfig = AugmentConfig()

    def __post_init__(self):
        _check_named(self, "data", "root", "default_root", "cache_dir")
        if not 0 < self.max_megapixels <= MOST_MEGAPIXELS:
            raise ConfigError(
                f"--data.max-megapixels {self.max_megapixels} must be positive and at most "
                f"{MOST_MEGAPIXELS}"
            )
        if not self.max_file_megabytes > 0:
            raise ConfigError(
                f"--data.max-file-megabytes {self.max_file_megabytes} must be positive"
            )
        if not 0 <= self.max_refused <= 1:
            raise ConfigError(f"--data.max-refused {self.max_refused} must be in [0, 1]")
        if self.folds < 0 or self.folds == 1:
            raise ConfigError(f"--data.folds {self.folds} must be 0 or at least 2")
        if not 0 <= self.fold < max(self.folds, 1):
            raise ConfigError(f"--data.fold {self.fold} must be 0 or more, and below --data.folds")
        if self.folds and self.source in ("synthetic", "mnist"):
            raise ConfigError(f"--data.folds cannot divide {self.source}: its test is given")


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The spatial transformer and the classifier behind it."""

    crop_size: tuple[int, int] = (210, 315)
    """Height and width of the crop that the classifier sees, in pixels."""
    transform: Literal["affine", "attention", "projective", "tps", "identity", "centre"] = "affine"
    """Family of the learned map; identity (the whole photo), centre (a fixed crop) learn none."""
    antialias: bool = False
    """Filter the photo where the map shrinks it, so that nothing aliases."""
    oversample: int = 1
    """Sample the crop this many times as densely each way, then average blocks to its size."""
    head: Literal["dense", "heatmap"] = "dense"
    """What gives theta: a dense layer, or a heat map: its centre of mass is the crop's centre, and
    what is seen there turns, stretches or bends the crop, as far as the family can."""
    view_shrink: int | None = None
    """The localization net sees the photo area-averaged by this factor; by default, by the one that
    leaves about 70 pixels on the short side."""
    localization_channels: tuple[int, ...] = (16, 32, 32)
    """Feature maps of the localization net's convolutions, a 2x2 max pool between each two."""
    localization_units: int = 64
    """Units of the hidden dense layer in front of the map's parameters."""
    scale: float = 1.0
    """Scale at the start, the part of the photo's side that the crop covers: of attention, and of
    any map behind a heat map."""
    scale_bounds: tuple[float, float] = (0.1, 1.25)
    """Attention's scale stays within these multiples of `scale`; any crop's behind a heat map does
    before it is turned, stretched or bent."""
    keep_inside: bool = False
    """Attention's crop cannot leave the photo; nor can any other behind a heat map, before it is
    turned, stretched or bent."""
    control_points: int = 4
    """Control points a side of the thin-plate spline."""
    channels: tuple[tuple[int, ...], ...] = ((64, 64), (64, 64), (128, 128, 128), (256, 256, 256))
    """Feature maps of the classifier's 3x3 convolutions by block; a max pool ends each block."""
    dense: tuple[int, ...] = (2048, 2058)
    """Units of the classifier's dense layers."""
    dropout: float = 0.5
    """Share of units dropped after each dense layer while training."""
    batch_norm: bool = False
    """Batch normalisation after each of the classifier's convolutions."""
    global_pool: bool = False
    """Average the last feature maps over all positions instead of keeping every position."""
    global_statistics: bool = False
    """With `global_pool`, keep each map's largest value and standard deviation beside its mean."""
    global_blocks: int = 1
    """With `global_pool`, pool the feature maps of this many of the last blocks."""


@dataclasses.dataclass(frozen=True)
class ZoomScheduleConfig:
    """Scales drawn for each training photo from a range that narrows (attention only)."""

    steps: int = 0
    """Steps over which the upper end falls; 0 turns the schedule off."""
    high_from: float = 0.9
    """Upper end of the range at the first step."""
    high_to: float = 0.45
    """Upper end of the range from `steps` on."""
    low: float = 0.36
    """Lower end of the range."""
    jitter: bool = True
    """Draw from the range; otherwise every photo has the upper end."""
    release: int | None = None
    """Step from which the scale is the localization net's own again; None: never."""


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """How the model is trained."""

    steps: int = 10_000
    """Batches to train on."""
    batch_size: int = 15
    """Photos in a batch, over all devices together."""
    learning_rate: float = 1e-5
    """Adam's learning rate."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Learning rate over the run: constant, or falling to 0 along a cosine."""
    warmup_steps: int = 0
    """Steps over which the learning rate rises from 0."""
    init_from: str | None = None
    """Start from the weights of the run in this workdir; new classes get a new last layer."""
    weight_decay: float = 0.0
    """Decoupled weight decay on kernels (AdamW); 0: plain Adam."""
    clip_norm: float | None = None
    """Clip the gradient to this norm."""
    localization_rate: float = 1.0
    """Learning rate of the localization net, as a multiple of the rest's."""
    localization_freeze: int = 0
    """Steps at the start in which the localization net does not learn."""
    glimpses: int = 0
    """Crops drawn from the heat map for each training photo, of which the classifier must recognise
    one; 0: the one crop at the heat map's centre of mass. Attention with the heatmap head only."""
    explore: float = 0.2
    """Share of the glimpses drawn from the whole photo instead of from the heat map."""
    zoom_schedule: ZoomScheduleConfig = ZoomScheduleConfig()
    seed: int = 0
    """Seed of everything random in training: weights, order of photos, dropout, augmentation."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Type of the networks' arithmetic; weights, optimiser, loss and positions are float32."""
    accumulate: int = 1
    """Compute each batch in this many parts, one after another: less memory, the same gradient
    (not with batch normalisation, which then knows of one part at a time)."""
    remat: bool = False
    """Compute activations again in the backward pass instead of keeping them: less memory."""
    deterministic: bool = False
    """Make GPUs add in a fixed order: slower, but a resumed run equals the other bit by bit."""
    stop_on_collapse: bool = False
    """Stop a run whose transformer has collapsed; the last checkpoint is then a healthy one."""
    collapse_steps: int = 50
    """Steps in a row that must look collapsed before that is said."""
    eval_every: int = 250
    """Steps between evaluations on the whole validation split."""
    checkpoint_every: int = 250
    """Steps between checkpoints."""
    keep_checkpoints: int = 2
    """Newest checkpoints kept, besides the best one."""
    log_every: int = 10
    """Steps between lines of metrics.jsonl; their values are means over these steps."""
    figure_every: int = 250
    """Steps between frames of the strip that shows what the transformer looks at."""
    patience: int = 0
    """Stop after this many evaluations without a better validation loss; 0: never."""
    min_change: float = 0.0
    """Smallest fall of the validation loss that counts as better."""

    def __post_init__(self):
        _check_named(self, "train", "init_from")


@dataclasses.dataclass(frozen=True)
class Config:
    """One experiment."""

    name: str = "derm"
    """Name of the experiment; the default workdir is runs/NAME."""
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()

    def __post_init__(self):
        check(self)


def check(config: Config) -> None:
    """Refuses what cannot work.

    Raises:
      ConfigError: naming the option and what it must be.
    """
    data, model, train = config.data, config.model, config.train
    _check_types(config)
    _check_numbers(config)
    for option, size in (
        ("data.photo-size", data.photo_size),
        ("model.crop-size", model.crop_size),
    ):
        if min(size) < 1:
            raise ConfigError(f"--{option} {size[0]} {size[1]}: both must be positive")
    if model.transform not in ("identity", "centre"):
        checked_view_shrink(
            data.photo_size,
            model.view_shrink,
            poolings=len(model.localization_channels) - 1,
            size="--data.photo-size",
            option="--model.view-shrink",
        )
    if data.source == "synthetic" and min(data.photo_size) < _SMALLEST_SYNTHETIC:
        raise ConfigError(
            f"--data.photo-size {data.photo_size[0]} {data.photo_size[1]} is too small for "
            f"generated photos: their texture needs at least {_SMALLEST_SYNTHETIC} pixels a side"
        )
    if min(model.crop_size) < 2 ** len(model.channels):
        raise ConfigError(
            f"--model.crop-size {model.crop_size[0]} {model.crop_size[1]} is too small: "
            f"{len(model.channels)} poolings need at least {2 ** len(model.channels)} pixels a side"
        )
    if model.transform == "centre" and any(
        crop > photo for crop, photo in zip(model.crop_size, data.photo_size, strict=True)
    ):
        raise ConfigError("--model.transform centre needs a crop no larger than the photo")
    if model.head == "heatmap" and model.transform in ("identity", "centre"):
        raise ConfigError(
            f"--model.head heatmap needs a learned --model.transform, not {model.transform}"
        )
    if train.glimpses and model.head != "heatmap":
        raise ConfigError("--train.glimpses needs --model.head heatmap")
    if train.glimpses and model.transform != "attention":
        raise ConfigError("--train.glimpses needs --model.transform attention")
    if not 0 < train.explore <= 1:
        raise ConfigError(f"--train.explore {train.explore} must be above 0 and at most 1")
    if train.zoom_schedule.steps and model.transform != "attention":
        raise ConfigError("--train.zoom-schedule.steps needs --model.transform attention")
    if model.transform in ("affine", "projective", "tps") and model.head == "dense":
        names, needed = ("scale", "scale_bounds", "keep_inside"), "--model.head heatmap or "
        _check_unused(model, "model", names, f"{needed}--model.transform attention")
    if model.transform != "tps":
        _check_unused(model, "model", ("control_points",), "--model.transform tps")
    if not train.glimpses:
        _check_unused(train, "train", ("explore",), "--train.glimpses")
    schedule = train.zoom_schedule
    if schedule.low > min(schedule.high_from, schedule.high_to):
        raise ConfigError(
            f"--train.zoom-schedule.low {schedule.low} must be at most high-from and high-to"
        )
    if schedule.release is not None and schedule.release < 0:
        raise ConfigError(f"--train.zoom-schedule.release {schedule.release} must be at least 0")
    if not schedule.steps:
        names = ("high_from", "high_to", "low", "jitter", "release")
        _check_unused(schedule, "train.zoom_schedule", names, "--train.zoom-schedule.steps")
    low, high = model.scale_bounds
    if not 0 < low < 1 < high < math.inf:
        raise ConfigError(f"--model.scale-bounds {low} {high} must be below and above 1")
    layers = {"dense": model.dense, "localization_channels": model.localization_channels}
    layers["channels"] = sum(model.channels, ())
    for option, sizes in layers.items():
        if min(sizes, default=1) < 1:
            raise ConfigError(f"{_flag('model', option)}: every layer needs at least 1 unit")
    if data.source == "mnist" and (data.augment.saturation or data.augment.hue):
        raise ConfigError("--data.augment.saturation and hue: digits have no colour to change")
    if train.batch_size % train.accumulate:
        raise ConfigError(
            f"--train.batch-size {train.batch_size} cannot be computed in "
            f"--train.accumulate {train.accumulate} equal parts"
        )
    if (model.global_statistics or model.global_blocks > 1) and not model.global_pool:
        raise ConfigError(
            "--model.global-statistics and --model.global-blocks need --model.global-pool"
        )
    if model.global_blocks > len(model.channels):
        raise ConfigError(
            f"--model.global-blocks {model.global_blocks} is more than the {len(model.channels)} "
            "blocks of --model.channels"
        )
    if not 0 <= model.dropout < 1:
        raise ConfigError(f"--model.dropout {model.dropout} must be in [0, 1)")


def _check_unused(part: Any, prefix: str, names: Sequence[str], needed: str) -> None:
    """Refuses other values than the defaults of options that nothing reads without another."""
    for name in names:
        default = getattr(type(part), name)
        if getattr(part, name) != default:
            raise ConfigError(
                f"{_flag(prefix, name)} needs {needed}; without, leave it at its default, {default}"
            )


_AT_LEAST = {
    "train": {
        "steps": 1,
        "batch_size": 1,
        "eval_every": 1,
        "checkpoint_every": 1,
        "log_every": 1,
        "figure_every": 1,
        "keep_checkpoints": 1,
        "accumulate": 1,
        "collapse_steps": 1,
        "learning_rate": 0,
        "localization_rate": 0,
        "warmup_steps": 0,
        "weight_decay": 0,
        "localization_freeze": 0,
        "glimpses": 0,
        "seed": 0,
        "patience": 0,
        "min_change": 0,
    },
    "train.zoom_schedule": {"steps": 0},
    "model": {
        "control_points": 2,
        "oversample": 1,
        "localization_units": 1,
        "global_blocks": 1,
    },
    "data": {"val_size": 0, "test_size": 0, "split_seed": 0},
    "data.mnist": {"seed": 0},
    "data.synthetic": {"seed": 0},
}
_ABOVE_ZERO = {
    "train": ("clip_norm",),
    "train.zoom_schedule": ("low", "high_from", "high_to"),
    "model": ("scale",),
}
"""Options that are numbers, by the part of the configuration, and what they must be."""
_TOO_LARGE = 2**63
"""For a seed, and for anything that is counted."""


def _check_types(part: Any, prefix: str = "") -> None:
    """Refuses values of another type than their option's; a file may hold any."""
    hints = typing.get_type_hints(type(part))
    for field in dataclasses.fields(part):
        value, name = getattr(part, field.name), f"{prefix}{field.name}"
        if not _fits(value, hints[field.name]):
            kind = _kind(hints[field.name])
            raise ConfigError(f"--{name.replace('_', '-')} {value!r} must be {kind}")
        if dataclasses.is_dataclass(value):
            _check_types(value, f"{name}.")


def _fits(value: Any, hint: Any) -> bool:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return isinstance(value, str) and value in inner
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, each) for each in inner)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        each = inner[:1] * len(value) if inner[-1] is Ellipsis else inner
        return len(value) == len(each) and all(map(_fits, value, each))
    if hint in (int, float):
        numbers = (int, float) if hint is float else int
        return isinstance(value, numbers) and not isinstance(value, bool)
    return isinstance(value, hint)


def _kind(hint: Any) -> str:
    if typing.get_origin(hint) is Literal:
        return f"one of {', '.join(typing.get_args(hint))}"
    return hint.__name__ if isinstance(hint, type) else str(hint)


def _check_numbers(config: Config) -> None:
    """Refuses numbers that are not finite or smaller than what they count or measure can be."""
    for part, limits in _AT_LEAST.items():
        for option, least in limits.items():
            value = operator.attrgetter(f"{part}.{option}")(config)
            counted = isinstance(value, int) or option in ("val_size", "test_size")
            if not least <= value < (_TOO_LARGE if counted else math.inf):
                most = " and below 2^63" if counted else ""
                raise ConfigError(f"{_flag(part, option)} {value} must be at least {least}{most}")
    for part, options in _ABOVE_ZERO.items():
        for option in options:
            value = operator.attrgetter(f"{part}.{option}")(config)
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"{_flag(part, option)} {value} must be above 0")


def natural_view_shrink(photo_size: tuple[int, int]) -> int:
    """The common divisor of both sides that leaves the short one nearest to 70 pixels (in ratio).

    For the paper's 630x945 it is 9, and the localization net sees 70x105.
    """
    ideal = min(photo_size) / _VIEW_SIDE
    common = math.gcd(*photo_size)
    divisors = [factor for factor in range(1, common + 1) if common % factor == 0]
    return min(divisors, key=lambda factor: abs(math.log(factor / ideal)))


def checked_view_shrink(
    photo_size: tuple[int, int],
    chosen: int | None,
    *,
    poolings: int,
    size: str = "photo size",
    option: str = "view_shrink",
) -> int:
    """The side of the blocks of a photo whose means are what the localization net sees.

    Args:
      photo_size: height and width, in pixels.
      chosen: that side; None: the natural one.
      poolings: of 2x2, in the localization net.
      size: what a message calls the photo size.
      option: what a message calls the choice.

    Raises:
      ConfigError: the photo cannot be averaged to a view of a useful size.
    """
    height, width = photo_size
    if chosen is not None and chosen < 1:
        raise ConfigError(f"{option} {chosen} must be at least 1")
    shrink = chosen or natural_view_shrink(photo_size)
    if height % shrink or width % shrink:
        raise ConfigError(
            f"{size} {height} {width} is not divisible by {option} {shrink}: "
            f"the localization net sees the photo averaged over {shrink}x{shrink} blocks. Use a "
            f"photo size that is a multiple of {shrink}, such as {_multiples(photo_size, shrink)}, "
            "or another view shrink"
        )
    if chosen is None and min(photo_size) // shrink > 2 * _VIEW_SIDE:
        factor = round(min(photo_size) / _VIEW_SIDE)
        raise ConfigError(
            f"{size} {height} {width} is not divisible by a whole factor that leaves a "
            f"small view (about {_VIEW_SIDE} pixels) for the localization net. Use a photo size "
            f"such as {_multiples(photo_size, factor)}, or choose {option}"
        )
    least = 2**poolings
    if min(photo_size) // shrink < least:
        raise ConfigError(
            f"{size} {height} {width} shrunk by {shrink} is too small a view for the "
            f"localization net: its poolings need at least {least} pixels a side. Use a larger "
            f"photo size or a smaller {option}"
        )
    return shrink


def _multiples(size: tuple[int, int], factor: int) -> str:
    return " ".join(str(max(1, round(side / factor)) * factor) for side in size)


def to_json(config: Any) -> str:
    """Writes a configuration (or a part of one) as indented JSON."""
    return json.dumps(dataclasses.asdict(config), indent=2) + "\n"


def from_json(text: str) -> Config:
    """Reads what `to_json` wrote.

    Raises:
      ConfigError: for unknown or missing options, or values of the wrong type.
    """
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"not a configuration: {error}") from error
    return _build(Config, values, "")


def load(path: str | Path) -> Config:
    """Calls `get_config()` of the Python file at `path`; see `read_file`."""
    return read_file(path)()


def read_file(path: str | Path) -> Callable[..., Config]:
    """Reads `get_config` from the Python file at `path`.

    Its parameters, if it has any, are options of the command line from which others follow.

    Returns:
      The function, whose own errors are `ConfigError` from then on, with the line in the file.

    Raises:
      ConfigError: when there is no such file, it fails, or it has no `get_config` that returns a
        `Config`.
    """
    path = Path(path)
    if not path.is_file():
        known = ", ".join(known_files())
        raise ConfigError(f"--config {path}: no such file. Known configurations: {known}")
    # A name that hides no other module; dataclasses and type hints look their own up by it.
    module = types.ModuleType(f"{path.stem} (configuration)")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    with _explained(path):
        # From bytes, Python finds their encoding as for any of its files.
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    get_config = getattr(module, "get_config", None)
    if not callable(get_config):
        raise ConfigError(f"--config {path}: the file must define get_config() -> stn_jax.Config")

    @functools.wraps(get_config)
    def checked(*args: Any, **options: Any) -> Config:
        with _explained(path):
            config = get_config(*args, **options)
        if not isinstance(config, Config):
            raise ConfigError(
                f"--config {path}: get_config() returned {type(config).__name__}, not Config"
            )
        return config

    return checked


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turns what goes wrong in a configuration file into a line about it."""
    try:
        yield
    except Exception as error:  # the file is the user's: anything can come out of it
        raise ConfigError(f"--config {path}{_line_of(error, path)}: {_one_line(error)}") from error


def known_files() -> list[str]:
    """Lists the configuration files in configs/, as seen from here."""
    return sorted(str(path) for path in Path("configs").glob("[!_]*.py")) or ["none here"]


def differences(a: Any, b: Any, prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """Lists the options in which two configurations differ.

    Returns:
      {"train.steps": (value in a, value in b), ...}
    """
    found = {}
    for field in dataclasses.fields(a):
        left, right = getattr(a, field.name), getattr(b, field.name)
        name = f"{prefix}{field.name}"
        if dataclasses.is_dataclass(left):
            found |= differences(left, right, f"{name}.")
        elif left != right:
            found[name] = (left, right)
    return found


def _line_of(error: Exception, path: Path) -> str:
    """The last line of the file that the error passed through, as `, line 7`."""
    if isinstance(error, SyntaxError):
        return f", line {error.lineno}" if error.lineno else ""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    return f", line {lines[-1]}" if lines else ""


def _one_line(error: Exception) -> str:
    if isinstance(error, ConfigError):
        return str(error)
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {message}"


def _build(cls: type, values: Any, prefix: str) -> Any:
    if not isinstance(values, dict):
        raise ConfigError(f"{prefix.rstrip('.') or 'the configuration'} must be a JSON object")
    fields = {field.name: field for field in dataclasses.fields(cls)}
    unknown = sorted(prefix + name for name in values.keys() - fields.keys())
    if unknown:
        raise ConfigError(f"unknown options {', '.join(unknown)}: written by another version?")
    hints = typing.get_type_hints(cls)
    built = {}
    for name, value in values.items():
        if dataclasses.is_dataclass(hints[name]):
            built[name] = _build(hints[name], value, f"{prefix}{name}.")
        else:
            built[name] = _tuples(value)
    return cls(**built)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
