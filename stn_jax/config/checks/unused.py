"""Options that nothing reads without another."""

from collections.abc import Sequence
from typing import Any

from stn_jax.config.errors import ConfigError, flag


def check_unused(part: Any, prefix: str, names: Sequence[str], needed: str) -> None:
    """Refuses other values than the defaults of options that nothing reads without another."""
    for name in names:
        default = getattr(type(part), name)
        if getattr(part, name) != default:
            raise ConfigError(
                f"{flag(prefix, name)} needs {needed}; without, leave it at its default, {default}"
            )
