"""Options that nothing reads without another."""

from collections.abc import Sequence
from typing import Any

from stn_jax.config.errors import ConfigError, flag, setting


def check_unused(part: Any, prefix: str, names: Sequence[str], needed: str) -> None:
    """Refuses other values than the defaults of options that nothing reads without another."""
    defaults = {name: getattr(type(part), name) for name in names}
    changed = [name for name in names if getattr(part, name) != defaults[name]]
    if changed:
        flags = ", ".join(flag(prefix, name) for name in changed)
        settings = " ".join(setting(prefix, name, defaults[name]) for name in changed)
        raise ConfigError(
            f"{flags} need{'' if changed[1:] else 's'} {needed}; without, give the default: "
            f"{settings}"
        )
