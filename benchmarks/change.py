"""Variations of a configuration."""

import dataclasses
from typing import Any

from stn_jax.config import Config


def change(config: Config, **parts: dict[str, Any]) -> Config:
    """Replaces some fields of a configuration's parts, such as train={"steps": 100}."""
    changed = {
        name: dataclasses.replace(getattr(config, name), **fields) for name, fields in parts.items()
    }
    return dataclasses.replace(config, **changed)
