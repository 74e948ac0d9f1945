"""Layers that the networks cannot have."""

from stn_jax.config.errors import ConfigError, flag
from stn_jax.config.options import ModelConfig


def check_layers(model: ModelConfig) -> None:
    """Refuses layers without units, and a localization net without layers."""
    if not model.localization_channels:
        raise ConfigError("--model.localization-channels must name at least one layer")
    layers = {"dense": model.dense, "localization_channels": model.localization_channels}
    layers["channels"] = sum(model.channels, ())
    for option, sizes in layers.items():
        if min(sizes, default=1) < 1:
            raise ConfigError(f"{flag('model', option)}: every layer needs at least 1 unit")


def check_pooling(model: ModelConfig) -> None:
    """Refuses what global pooling cannot pool, or does not without being asked for."""
    if (model.global_statistics or model.global_blocks > 1) and not model.global_pool:
        raise ConfigError(
            "--model.global-statistics and --model.global-blocks need --model.global-pool"
        )
    if model.global_blocks > len(model.channels):
        raise ConfigError(
            f"--model.global-blocks {model.global_blocks} is more than the {len(model.channels)} "
            "blocks of --model.channels"
        )


def check_dropout(model: ModelConfig) -> None:
    """Refuses shares of units that cannot be dropped."""
    if not 0 <= model.dropout < 1:
        raise ConfigError(f"--model.dropout {model.dropout} must be in [0, 1)")
