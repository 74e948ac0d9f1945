"""Where torch computes, when it is to be compared with JAX."""

import importlib.util
import traceback

import jax


def torch_device() -> str | None:
    """`cuda` or `cpu`, as JAX has it; None where torch is absent or cannot use JAX's GPU.

    Why it cannot is in the log: what we measure of ours must not be lost with torch.
    """
    if not importlib.util.find_spec("torch"):
        return None
    device = "cpu" if jax.default_backend() == "cpu" else "cuda"
    try:
        import torch

        torch.ones(1, device=device).sum().item()
    except Exception:  # a build without CUDA, for another driver, or without kernels for this chip
        traceback.print_exc()
        return None
    return device
