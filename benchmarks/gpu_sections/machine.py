"""What is measured on."""

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterator
from typing import Any

import jax

from benchmarks.gpu_sections.scale import Scale
from benchmarks.gpu_sections.tasks import Task, TimeLeft
from stn_jax.training.memory import device_bytes

PACKAGES = ("jax", "jaxlib", "flax", "optax", "grain", "tensorflow-datasets", "torch")


def tasks(scale: Scale, time_left: TimeLeft) -> Iterator[Task]:
    """The one answer: the device, its memory and driver, and versions."""
    yield Task("machine", describe)


def describe() -> dict[str, Any]:
    device = jax.devices()[0]
    return {
        "platform": device.platform,
        "device": device.device_kind,
        "memory_gigabytes": _memory_gigabytes(),
        "memory_gigabytes_for_jax": round(device_bytes() / 1e9, 1),
        "driver": ask_nvidia("driver_version"),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _memory_gigabytes() -> float | None:
    """Of the card, of which JAX takes a part by default."""
    mebibytes = ask_nvidia("memory.total") or ""
    # Where the card shares the machine's memory, or may not be asked, words are in its place.
    return round(int(mebibytes) * 2**20 / 1e9, 1) if mebibytes.isdecimal() else None


def ask_nvidia(what: str) -> str | None:
    """What NVIDIA's program says of the first card; None where it is not there or does not work."""
    command = ["nvidia-smi", f"--query-gpu={what}", "--format=csv,noheader,nounits"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.splitlines()[0].strip() if found.stdout else None
