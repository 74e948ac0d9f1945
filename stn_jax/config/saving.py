"""Configurations as JSON, which a run keeps beside its results."""

import dataclasses
import json
import typing
from typing import Any

from stn_jax.config.errors import ConfigError
from stn_jax.config.experiment import Config


def to_json(config: Any) -> str:
    """Writes a configuration (or a part of one) as indented JSON."""
    return json.dumps(dataclasses.asdict(config), indent=2) + "\n"


def from_json(text: str) -> Config:
    """Reads what `to_json` wrote; options that are not in it have their defaults.

    Raises:
      ConfigError: for unknown options, values of the wrong type, or what cannot work.
    """
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"not a configuration: {error}") from error
    return _build(Config, values, "")


def _build(cls: type, values: Any, prefix: str) -> Any:
    if not isinstance(values, dict):
        raise ConfigError(f"{prefix.rstrip('.') or 'the configuration'} must be a JSON object")
    fields = {field.name: field for field in dataclasses.fields(cls)}
    unknown = sorted(prefix + name for name in values.keys() - fields.keys())
    if unknown:
        raise ConfigError(f"unknown options {', '.join(unknown)}: written by another version?")
    hints = typing.get_type_hints(cls)
    built = {}
    for name, value in values.items():
        if dataclasses.is_dataclass(hints[name]):
            built[name] = _build(hints[name], value, f"{prefix}{name}.")
        else:
            built[name] = _tuples(value)
    return cls(**built)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
