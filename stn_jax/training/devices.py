"""How a run is laid out over devices and hosts: batches divided, the state on all of them."""

import contextlib
import os
from pathlib import Path

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from stn_jax.config import ConfigError, TrainConfig

_HEARTBEAT_SECONDS = 30
"""A process that is silent for so long is taken for dead, and the job ends."""


def join_cluster(
    coordinator: str | None = None, processes: int | None = None, process: int | None = None
) -> None:
    """Joins the other processes of the job, where there are any; call it before using JAX.

    Args:
      coordinator: HOST:PORT of process 0; None under srun and Kubernetes, which JAX asks itself.
      processes: how many there are.
      process: which one this is.

    Raises:
      ConfigError: when only some of the three are given.
    """
    given = [value is not None for value in (coordinator, processes, process)]
    if any(given) and not all(given):
        raise ConfigError(
            "--cluster.coordinator, --cluster.processes and --cluster.process go together"
        )
    # Of what srun started; SLURM_NTASKS is the whole allocation's, also where srun was not used.
    tasks = int(os.environ.get("SLURM_STEP_NUM_TASKS", "1"))
    if any(given) or tasks > 1 or "JOB_COMPLETION_INDEX" in os.environ:
        jax.distributed.initialize(
            coordinator, processes, process, heartbeat_timeout_seconds=_HEARTBEAT_SECONDS
        )


def use_compilation_cache() -> None:
    """Keeps compiled programs in the user's cache, so that a restart need not compile again.

    JAX_COMPILATION_CACHE_DIR, where it is set, says where. Where nothing tells of a home, as in
    containers for any user, programs are compiled every time.
    """
    if jax.config.jax_compilation_cache_dir:
        return
    with contextlib.suppress(RuntimeError):  # no home
        home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
        jax.config.update("jax_compilation_cache_dir", str(home / "stn_jax" / "compiled"))


def is_main() -> bool:
    """Whether this process is the one that writes what is written once."""
    return jax.process_index() == 0


def wait_for_all(name: str) -> None:
    """Returns when every process of the job has come here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


def agree_on(value: int) -> int:
    """The main process's value, in every process."""
    if jax.process_count() == 1:
        return value
    return int(multihost_utils.broadcast_one_to_all(np.int32(value)))


def any_process(flag: bool) -> bool:
    """Whether the flag is set in any process of the job; the answer is the same in all."""
    if jax.process_count() == 1:
        return flag
    return bool(multihost_utils.process_allgather(np.array(flag)).any())


def make_shardings(config: TrainConfig) -> tuple[NamedSharding, NamedSharding]:
    """Makes one `data` axis over all devices of all hosts.

    Returns:
      (sharding of batches, sharding of the state).

    Raises:
      ConfigError: when the batch cannot be divided over the devices.
    """
    count = jax.device_count()
    part = config.batch_size // config.accumulate
    if part % count:
        raise ConfigError(
            f"--train.batch-size {config.batch_size} cannot be divided over {count} devices"
            + (f" in {config.accumulate} parts" if config.accumulate > 1 else "")
            + f": use a multiple of {count * config.accumulate}"
        )
    mesh = jax.make_mesh((count,), ("data",), axis_types=(AxisType.Auto,))
    return NamedSharding(mesh, PartitionSpec("data")), NamedSharding(mesh, PartitionSpec())
