"""What is raised for a configuration that cannot work, and how it names an option."""

from typing import Any


class ConfigError(ValueError):
    """A configuration that cannot work, with what to change in the message."""


def flag(part: str, option: str) -> str:
    """Spells an option as on the command line, `--train.batch-size`."""
    return f"--{part}.{option}".replace("_", "-")


def setting(part: str, option: str, value: Any) -> str:
    """Spells an option and its value as on the command line, `--model.crop-size 210 315`."""
    if isinstance(value, bool):
        return flag(part, option if value else f"no-{option}")
    values = value if isinstance(value, tuple) else (value,)
    return " ".join([flag(part, option), *map(str, values)])
