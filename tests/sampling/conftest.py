"""Float64 where a test wants it, and what the tests of the sampler read."""

import jax
import numpy as np
import pytest

SAMPLERS = [
    pytest.param(mode, padding, align, id=f"{mode}-{padding}-{'centres' if align else 'edges'}")
    for mode in ("bilinear", "nearest")
    for padding in ("zeros", "border", "reflection")
    for align in (False, True)
]


@pytest.fixture
def float64():
    """Lets JAX compute in float64 during a test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def pytest_generate_tests(metafunc):
    """Runs a test that takes `mode`, `padding_mode` and `align_corners` in every combination."""
    if {"mode", "padding_mode", "align_corners"} <= set(metafunc.fixturenames):
        metafunc.parametrize(("mode", "padding_mode", "align_corners"), SAMPLERS)
