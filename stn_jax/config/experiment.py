"""One experiment: its name, its parts, and whether they work together."""

import dataclasses

from stn_jax.config.checks.augmentation import check_augmentation
from stn_jax.config.checks.layers import check_dropout, check_layers, check_pooling
from stn_jax.config.checks.names import check_names
from stn_jax.config.checks.numbers import check_numbers
from stn_jax.config.checks.photos import check_photos
from stn_jax.config.checks.sizes import check_sizes
from stn_jax.config.checks.training import check_batch
from stn_jax.config.checks.transform import check_transform
from stn_jax.config.checks.value_types import check_types
from stn_jax.config.options import DataConfig, ModelConfig, TrainConfig


@dataclasses.dataclass(frozen=True)
class Config:
    """One experiment."""

    name: str = "derm"
    """Name of the experiment; the default workdir is runs/NAME."""
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)

    def __post_init__(self):
        check(self)


def check(config: Config) -> None:
    """Refuses what cannot work.

    Raises:
      ConfigError: naming the option and what it must be.
    """
    data, model, train = config.data, config.model, config.train
    # First the types, which every other check relies on.
    check_types(config)
    check_numbers(config)
    check_names(config)
    check_photos(data)
    check_sizes(data, model)
    check_transform(model, train)
    check_layers(model)
    check_augmentation(data)
    check_batch(train)
    check_pooling(model)
    check_dropout(model)
