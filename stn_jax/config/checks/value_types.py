"""The types of the values: a file may hold any."""

import dataclasses
import types
import typing
from typing import Any, Literal

from stn_jax.config.errors import ConfigError


def check_types(part: Any, prefix: str = "") -> None:
    """Refuses values of another type than their option's; a file may hold any."""
    hints = typing.get_type_hints(type(part))
    for field in dataclasses.fields(part):
        value, name = getattr(part, field.name), f"{prefix}{field.name}"
        if not _fits(value, hints[field.name]):
            kind = _kind(hints[field.name])
            raise ConfigError(f"--{name.replace('_', '-')} {value!r} must be {kind}")
        if dataclasses.is_dataclass(value):
            check_types(value, f"{name}.")


def _fits(value: Any, hint: Any) -> bool:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return isinstance(value, str) and value in inner
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, each) for each in inner)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        each = inner[:1] * len(value) if inner[-1] is Ellipsis else inner
        return len(value) == len(each) and all(map(_fits, value, each))
    if hint in (int, float):
        numbers = (int, float) if hint is float else int
        return isinstance(value, numbers) and not isinstance(value, bool)
    return isinstance(value, hint)


def _kind(hint: Any) -> str:
    if typing.get_origin(hint) is Literal:
        return f"one of {', '.join(typing.get_args(hint))}"
    return hint.__name__ if isinstance(hint, type) else str(hint)
