"""What training cannot do with its photos."""

from stn_jax.config.errors import ConfigError
from stn_jax.config.options import TrainConfig


def check_batch(train: TrainConfig) -> None:
    """Refuses batches that cannot be divided."""
    if train.batch_size % train.accumulate:
        raise ConfigError(
            f"--train.batch-size {train.batch_size} cannot be computed in "
            f"--train.accumulate {train.accumulate} equal parts"
        )
