"""Arrays whose types say how they are divided over devices: explicit sharding, `jax.shard_map`."""

from collections.abc import Callable

import jax
from jax import Array
from jax.sharding import PartitionSpec


def is_typed_as_divided(array: Array) -> bool:
    """Whether an axis of the array's type names an axis of the mesh (`AxisType.Explicit`)."""
    return any(axis is not None for axis in jax.typeof(array).sharding.spec)


def varies_over_devices(array: Array) -> bool:
    """Whether the array's type says that each device has its own: inside `jax.shard_map`."""
    kind = jax.typeof(array)
    # An attribute of `manual_axis_type` from jax 0.10 on; before, of the type itself.
    if hasattr(kind, "manual_axis_type"):
        return bool(kind.manual_axis_type.varying)
    return bool(kind.vma)


def along_batch(function: Callable[..., Array], *arrays: Array) -> Array:
    """Calls a function of batches, all of one length, that gives one, too.

    In explicit sharding every operation must know how its result is divided. Here the compiler
    finds that out within, and the result is divided along its batch as the arrays are.
    """
    if not any(is_typed_as_divided(each) for each in arrays):
        return function(*arrays)
    batch = next((axis for each in arrays if (axis := jax.typeof(each).sharding.spec[0])), None)
    return jax.sharding.auto_axes(function, out_sharding=PartitionSpec(batch))(*arrays)
