"""Every option of an experiment's parts, defined once; `--help` prints the text under each."""

import dataclasses
from collections.abc import Mapping
from typing import Literal

MOST_MEGAPIXELS = 178
"""Pillow refuses photos of more pixels as an attack, whatever `data.max_megapixels` says."""
MNIST_SIZES: Mapping[str, tuple[int, int]] = {
    "R": (28, 28),
    "RTS": (42, 42),
    "P": (28, 28),
    "E": (28, 28),
    "TC": (60, 60),
}
"""Height and width of the images of each task of distorted MNIST."""


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
    """Photos to generate for validation; 0 takes `val_size` of those for training."""
    test: int = 600
    """Photos to generate for the test; 0 takes `test_size` of those for training."""
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


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which photos, and how they are read."""

    root: str | None = None
    """Folder of photos; it must exist: a sub-folder a class, train/ val/ test/, or photos.csv."""
    default_root: str = "data/derm"
    """Folder looked for without `root`; where it is absent, source auto generates photos."""
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
    """Photos kept for validation, where the folder does not say which: a fraction below 1, or a
    count."""
    test_size: float = 0.15
    """Photos kept for the test, where the folder does not say which: a fraction below 1, or a count
    (200: 100 of each of 2 classes)."""
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
    """Steps between lines of metrics.jsonl; evaluations, checkpoints and frames write one, too.
    Values are means over the steps since the last line."""
    figure_every: int = 250
    """Steps between frames of the strip that shows what the transformer looks at."""
    patience: int = 0
    """Stop after this many evaluations without a better validation loss; 0: never."""
    min_change: float = 0.0
    """Smallest fall of the validation loss that counts as better."""
