"""How far photos can be changed while training."""

from stn_jax.config.errors import ConfigError
from stn_jax.config.options import DataConfig

_MOST = {
    "rotate": 180,
    "scale": 9,
    "brightness": 1,
    "contrast": 1,
    "saturation": 1,
    "hue": 0.5,
}


def check_augmentation(data: DataConfig) -> None:
    """Refuses changes that are too large, and those of colours that photos do not have."""
    for option, most in _MOST.items():
        value = getattr(data.augment, option)
        if not 0 <= value <= most:
            raise ConfigError(f"--data.augment.{option} {value} must be in [0, {most}]")
    if data.source == "mnist" and (data.augment.saturation or data.augment.hue):
        raise ConfigError("--data.augment.saturation and hue: digits have no colour to change")
