"""From a configuration to the options of `load_photo`."""

from typing import Any

from stn_jax.config import DataConfig


def photo_options(data: DataConfig) -> dict[str, Any]:
    """What `load_photo` and `load_unpadded` are to be told of a configuration."""
    return {
        "size": tuple(data.photo_size),
        "fit": data.fit,
        "rotate_to_fit": data.rotate_to_fit,
        "max_megapixels": data.max_megapixels,
        "max_file_bytes": data.max_file_megabytes * 1e6,
    }
