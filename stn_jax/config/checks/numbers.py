"""The least and the most of the options that are numbers."""

import math
import operator
from typing import Any

from stn_jax.config.errors import ConfigError, flag

_SEED_BITS, _COUNT_BITS = 63, 31
"""Of the largest seed, and of anything that is counted: a run counts its steps in int32."""
_AT_LEAST = {
    "train": {
        "steps": 1,
        "batch_size": 1,
        "eval_every": 1,
        "checkpoint_every": 1,
        "log_every": 1,
        "figure_every": 1,
        "keep_checkpoints": 1,
        "accumulate": 1,
        "collapse_steps": 1,
        "learning_rate": 0,
        "localization_rate": 0,
        "warmup_steps": 0,
        "weight_decay": 0,
        "localization_freeze": 0,
        "glimpses": 0,
        "seed": 0,
        "patience": 0,
        "min_change": 0,
    },
    "train.zoom_schedule": {"steps": 0, "release": 0},
    "model": {
        "control_points": 2,
        "oversample": 1,
        "localization_units": 1,
        "global_blocks": 1,
    },
    "data": {"val_size": 0, "test_size": 0, "split_seed": 0},
    "data.mnist": {"seed": 0},
    "data.synthetic": {"train": 1, "val": 0, "test": 0, "seed": 0},
}
"""By the part of the configuration, the smallest value of each option, if it is not None."""
_ABOVE_ZERO = {
    "train": ("clip_norm",),
    "train.zoom_schedule": ("low", "high_from", "high_to"),
    "model": ("scale",),
}
"""By the part of the configuration, the options that must be above 0, or None."""


def check_numbers(config: Any) -> None:
    """Refuses numbers that are not finite or smaller than what they count or measure can be."""
    _check_at_least(config)
    _check_above_zero(config)


def _check_at_least(config: Any) -> None:
    for part, limits in _AT_LEAST.items():
        for option, least in limits.items():
            value = operator.attrgetter(f"{part}.{option}")(config)
            if value is None:
                continue
            bits = _bits(option, value)
            if not least <= value < (2**bits if bits else math.inf):
                most = f"below 2^{bits}" if bits else "finite"
                raise ConfigError(
                    f"{flag(part, option)} {value} must be at least {least} and {most}"
                )


def _bits(option: str, value: int | float) -> int | None:
    """Below which power of two an option must be; None for what is measured."""
    if option.endswith("seed"):
        return _SEED_BITS
    counted = isinstance(value, int) or option in ("val_size", "test_size")
    return _COUNT_BITS if counted else None


def _check_above_zero(config: Any) -> None:
    for part, options in _ABOVE_ZERO.items():
        for option in options:
            value = operator.attrgetter(f"{part}.{option}")(config)
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"{flag(part, option)} {value} must be above 0 and finite")
