"""Folders that an option names."""

from stn_jax.config.errors import ConfigError, flag
from stn_jax.config.options import DataConfig, TrainConfig


def check_folders(data: DataConfig, train: TrainConfig) -> None:
    """Refuses folders without a name, which an empty variable of a shell makes."""
    named = [("data", data, option) for option in ("root", "default_root", "cache_dir")]
    for prefix, part, option in [*named, ("train", train, "init_from")]:
        if getattr(part, option) == "":
            raise ConfigError(f"{flag(prefix, option)} is empty: name a folder, or leave it out")
