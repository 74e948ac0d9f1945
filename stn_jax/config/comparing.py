"""What differs between two configurations."""

import dataclasses
from typing import Any


def differences(a: Any, b: Any, prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """Lists the options in which two configurations differ.

    Returns:
      {"train.steps": (value in a, value in b), ...}
    """
    found = {}
    for field in dataclasses.fields(a):
        left, right = getattr(a, field.name), getattr(b, field.name)
        name = f"{prefix}{field.name}"
        if dataclasses.is_dataclass(left):
            found |= differences(left, right, f"{name}.")
        elif left != right:
            found[name] = (left, right)
    return found
