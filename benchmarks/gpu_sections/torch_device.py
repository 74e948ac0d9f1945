"""Where torch computes, when it is to be compared with JAX."""

import importlib.util

import jax


def torch_device() -> str | None:
    """`cuda` or `cpu`, as JAX has it; None where torch is absent or cannot use JAX's GPU."""
    if not importlib.util.find_spec("torch"):
        return None
    if jax.default_backend() == "cpu":
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else None
