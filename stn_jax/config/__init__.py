"""Every option of an experiment, defined once.

A configuration is a frozen, hashable tree of dataclasses. Files under `configs/` return one from
`get_config()`; the command line overrides single fields (`--train.steps 100`); a run keeps the
result in its `config.json`. The text under each field is what `--help` prints.
"""

from stn_jax.config.comparing import differences
from stn_jax.config.errors import ConfigError
from stn_jax.config.experiment import Config, check
from stn_jax.config.files import known_files, load, read_file
from stn_jax.config.options import (
    MNIST_SIZES,
    MOST_MEGAPIXELS,
    AugmentConfig,
    DataConfig,
    MnistConfig,
    ModelConfig,
    ScinConfig,
    SyntheticConfig,
    TrainConfig,
    ZoomScheduleConfig,
)
from stn_jax.config.saving import from_json, to_json
from stn_jax.config.view import checked_view_shrink, natural_view_shrink

__all__ = [
    "MNIST_SIZES",
    "MOST_MEGAPIXELS",
    "AugmentConfig",
    "Config",
    "ConfigError",
    "DataConfig",
    "MnistConfig",
    "ModelConfig",
    "ScinConfig",
    "SyntheticConfig",
    "TrainConfig",
    "ZoomScheduleConfig",
    "check",
    "checked_view_shrink",
    "differences",
    "from_json",
    "known_files",
    "load",
    "natural_view_shrink",
    "read_file",
    "to_json",
]
