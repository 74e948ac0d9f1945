"""What chips can do at most, and what a step asks of them."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from benchmarks.gpu_sections.scale import Precision
from stn_jax.config import Config
from stn_jax.models import make_model

PEAK_TERAFLOPS: dict[str, dict[Precision, float]] = {
    "NVIDIA H200": {"bfloat16": 989, "tf32": 494, "float32": 67},
    "NVIDIA H100 80GB HBM3": {"bfloat16": 989, "tf32": 494, "float32": 67},
    "NVIDIA H100 PCIe": {"bfloat16": 756, "tf32": 378, "float32": 51},
    "NVIDIA A100-SXM4-80GB": {"bfloat16": 312, "tf32": 156, "float32": 19.5},
    "NVIDIA A100-SXM4-40GB": {"bfloat16": 312, "tf32": 156, "float32": 19.5},
    "NVIDIA A100 80GB PCIe": {"bfloat16": 312, "tf32": 156, "float32": 19.5},
    "NVIDIA A100-PCIE-40GB": {"bfloat16": 312, "tf32": 156, "float32": 19.5},
    "NVIDIA L40S": {"bfloat16": 362, "tf32": 183, "float32": 91.6},
    "NVIDIA L4": {"bfloat16": 121, "tf32": 60, "float32": 30.3},
    "NVIDIA A10": {"bfloat16": 125, "tf32": 62.5, "float32": 31.2},
    "Tesla T4": {"float32": 8.1},
    "Tesla V100-SXM2-16GB": {"float32": 15.7},
    "Tesla V100-SXM2-32GB": {"float32": 15.7},
}
"""TFLOP/s by JAX's name of the chip, from NVIDIA's data sheets.

With tensor cores for bfloat16 and TF32, without sparsity (half of what the sheets print for sparse
matrices); float32 without tensor cores. Chips that are not here have no known peak; a precision
that a chip has no unit for has none either.
"""


def peak_flops(device_kind: str, precision: Precision) -> float | None:
    """Operations a second that the chip can do at most; None where they are not known."""
    peak = PEAK_TERAFLOPS.get(device_kind, {}).get(precision)
    return None if peak is None else 1e12 * peak


def step_flops(config: Config) -> int:
    """Additions and multiplications of the matrix products and convolutions of a training step.

    The gradient of a layer by its inputs and the one by its weights cost as much as the layer, so a
    step is counted as three times the forward pass, as is usual. What is computed in another way
    (Winograd's algorithm, say) or again (`train.remat`) does not change the count.
    """
    total = 0

    def count(layer, args, kwargs, context):
        nonlocal total
        outputs = layer(*args, **kwargs)
        if isinstance(context.module, nn.Conv | nn.Dense) and context.method_name == "__call__":
            inputs = args[0].shape[-1]
            window = math.prod(getattr(context.module, "kernel_size", ()))
            total += 2 * outputs.size * inputs * window
        return outputs

    model = make_model(config.model, num_classes=2, mean_color=(127.5,) * 3)
    shape = (config.train.batch_size, *config.data.photo_size, 3)
    with nn.intercept_methods(count):
        jax.eval_shape(
            lambda photos: model.init(jax.random.key(0), photos, train=False),
            jax.ShapeDtypeStruct(shape, jnp.uint8),
        )
    return 3 * total
