"""Photos and crops of sizes that cannot be generated, viewed, cut or classified."""

from stn_jax.config.errors import ConfigError
from stn_jax.config.options import DataConfig, ModelConfig
from stn_jax.config.view import checked_view_shrink

_SMALLEST_SYNTHETIC = 24


def check_sizes(data: DataConfig, model: ModelConfig) -> None:
    """Refuses sizes that the photos, the networks or the transform cannot have."""
    _check_positive(data, model)
    _check_view(data, model)
    _check_generated(data)
    _check_crop(data, model)


def _check_positive(data: DataConfig, model: ModelConfig) -> None:
    for option, size in (
        ("data.photo-size", data.photo_size),
        ("model.crop-size", model.crop_size),
    ):
        if min(size) < 1:
            raise ConfigError(f"--{option} {size[0]} {size[1]}: both must be positive")


def _check_view(data: DataConfig, model: ModelConfig) -> None:
    if model.transform not in ("identity", "centre"):
        checked_view_shrink(
            data.photo_size,
            model.view_shrink,
            poolings=len(model.localization_channels) - 1,
            size="--data.photo-size",
            option="--model.view-shrink",
        )


def _check_generated(data: DataConfig) -> None:
    if data.source == "synthetic" and min(data.photo_size) < _SMALLEST_SYNTHETIC:
        raise ConfigError(
            f"--data.photo-size {data.photo_size[0]} {data.photo_size[1]} is too small for "
            f"generated photos: their texture needs at least {_SMALLEST_SYNTHETIC} pixels a side"
        )


def _check_crop(data: DataConfig, model: ModelConfig) -> None:
    if min(model.crop_size) < 2 ** len(model.channels):
        raise ConfigError(
            f"--model.crop-size {model.crop_size[0]} {model.crop_size[1]} is too small: "
            f"{len(model.channels)} poolings need at least {2 ** len(model.channels)} pixels a side"
        )
    if model.transform == "centre" and any(
        crop > photo for crop, photo in zip(model.crop_size, data.photo_size, strict=True)
    ):
        raise ConfigError("--model.transform centre needs a crop no larger than the photo")
