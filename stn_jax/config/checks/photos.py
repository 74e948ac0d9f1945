"""Which photos can be asked for."""

from stn_jax.config.errors import ConfigError, flag
from stn_jax.config.options import MOST_MEGAPIXELS, DataConfig, ScinConfig


def check_photos(data: DataConfig) -> None:
    """Refuses limits of files, sizes of splits, tests and cases that no photos can meet."""
    _check_files(data)
    _check_held_out(data)
    _check_folds(data)
    _check_cases(data.scin)


def _check_files(data: DataConfig) -> None:
    if not 0 < data.max_megapixels <= MOST_MEGAPIXELS:
        raise ConfigError(
            f"--data.max-megapixels {data.max_megapixels} must be positive and at most "
            f"{MOST_MEGAPIXELS}"
        )
    if not data.max_file_megabytes > 0:
        raise ConfigError(f"--data.max-file-megabytes {data.max_file_megabytes} must be positive")
    if not 0 <= data.max_refused <= 1:
        raise ConfigError(f"--data.max-refused {data.max_refused} must be in [0, 1]")


def _check_held_out(data: DataConfig) -> None:
    for option in ("val_size", "test_size"):
        size = getattr(data, option)
        if size >= 1 and size % 1:
            raise ConfigError(
                f"{flag('data', option)} {size} must be a share below 1 or a whole number of photos"
            )


def _check_folds(data: DataConfig) -> None:
    if data.folds < 0 or data.folds == 1:
        raise ConfigError(f"--data.folds {data.folds} must be 0 or at least 2")
    if not 0 <= data.fold < max(data.folds, 1):
        raise ConfigError(f"--data.fold {data.fold} must be 0 or more, and below --data.folds")
    if data.folds and data.source in ("synthetic", "mnist"):
        raise ConfigError(f"--data.folds cannot divide {data.source}: its test is given")


def _check_cases(scin: ScinConfig) -> None:
    if len(set(scin.conditions)) < max(2, len(scin.conditions)):
        raise ConfigError("--data.scin.conditions needs two or more different conditions")
    if not 0 < scin.min_weight <= 1:
        raise ConfigError(f"--data.scin.min-weight {scin.min_weight} must be in (0, 1]")
