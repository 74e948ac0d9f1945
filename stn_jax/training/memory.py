"""What a step needs of a device's memory, from the compiler's own analysis, and what there is."""

import os
from pathlib import Path

import jax
from jax.stages import Compiled
from jaxtyping import PyTree

_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""Where a container finds what it may use, by the second and the first version of cgroups. Where
that is not limited, the second says a word, the first a number beyond any memory."""


def step_bytes(compiled: Compiled) -> int:
    """Bytes that a compiled function needs on each device: arguments, results, what is between."""
    sizes = compiled.memory_analysis()
    return (
        sizes.argument_size_in_bytes
        + sizes.output_size_in_bytes
        - sizes.alias_size_in_bytes
        + sizes.temp_size_in_bytes
    )


def accelerator_bytes() -> int | None:
    """Memory that programs may use on this process's first device; None on a CPU."""
    return (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")


def device_bytes() -> int:
    """Memory that each of this process's devices has; on a CPU they share the machine's."""
    return accelerator_bytes() or machine_bytes() // jax.local_device_count()


def machine_bytes() -> int:
    """The machine's memory, or what the container that this runs in may use of it."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [path.read_text().strip() for path in _LIMITS if path.is_file()]
    return min([machine, *(int(limit) for limit in limits if limit.isdigit())])


def largest_batch(
    needed: int, available: int, *, batch_size: int, state: PyTree, resident: int = 0
) -> int:
    """Estimates the batch that would fit; all but weights, moments and `resident` grow with it.

    Args:
      needed: bytes of a step with `batch_size` photos.
      available: bytes of a device.
      batch_size: photos in the batch, on one device.
      state: the training state: weights and Adam's two moments; the gradient is as large as the
        weights.
      resident: bytes of photos that stay on the device.
    """
    fixed = sum(leaf.nbytes for leaf in jax.tree.leaves(state)) * 4 // 3 + resident
    per_photo = max(needed - fixed, 1) / batch_size
    return max(int((available - fixed) / per_photo), 0)


def describe_memory(
    compiled: Compiled, *, batch_size: int, state: PyTree, resident: int = 0
) -> str:
    """Says what the step needs, what there is, and which batch would fill it."""
    needed, available = step_bytes(compiled), device_bytes()
    batch = largest_batch(needed, available, batch_size=batch_size, state=state, resident=resident)
    text = f"a step needs {needed / 1e9:.2f} GB of the {available / 1e9:.1f} GB of each device"
    if needed > available:
        return (
            f"warning: {text}. It may fail for lack of memory: set --train.accumulate, "
            "--train.remat or --train.precision bfloat16, or use a smaller --train.batch-size"
        )
    return f"{text}; a batch of about {batch} for each device would fit"
