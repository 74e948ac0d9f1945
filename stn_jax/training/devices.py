"""How a run is laid out over the devices: batches divided, the state on all of them."""

import jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from stn_jax.config import ConfigError


def make_shardings(batch_size: int) -> tuple[NamedSharding, NamedSharding]:
    """Makes one `data` axis over all devices.

    Returns:
      (sharding of batches, sharding of the state).

    Raises:
      ConfigError: when the batch cannot be divided over the devices.
    """
    count = jax.device_count()
    if batch_size % count:
        raise ConfigError(
            f"--train.batch-size {batch_size} cannot be divided over {count} devices: "
            f"use a multiple of {count}"
        )
    mesh = jax.make_mesh((count,), ("data",), axis_types=(AxisType.Auto,))
    return NamedSharding(mesh, PartitionSpec("data")), NamedSharding(mesh, PartitionSpec())
