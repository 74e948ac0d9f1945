"""Folders that an option names."""

from typing import Any

from stn_jax.config.errors import ConfigError, flag


def check_named(part: Any, prefix: str, *options: str) -> None:
    """Refuses folders without a name, which an empty variable of a shell makes."""
    for option in options:
        if getattr(part, option) == "":
            raise ConfigError(f"{flag(prefix, option)} is empty: name a folder, or leave it out")
