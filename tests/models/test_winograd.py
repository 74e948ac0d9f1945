"""Half the multiplications give XLA's convolution and its gradients, up to rounding."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax

from stn_jax.models.convolution import conv_general_dilated, winograd
from stn_jax.models.convolution.direct import Padding, convolve

LAYOUT = ("NHWC", "HWIO", "NHWC")


def arrays(*, batch=6, size=(11, 7), columns=3, channels=(24, 26), dtype=np.float64):
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.normal(size=(batch, *size, channels[0])).astype(dtype))
    kernel = jnp.asarray(rng.normal(size=(3, columns, *channels)).astype(dtype))
    return images, kernel


def ours(images, kernel, padding="SAME"):
    return conv_general_dilated(images, kernel, (1, 1), padding, dimension_numbers=LAYOUT)


def xla(images, kernel, padding="SAME"):
    return lax.conv_general_dilated(images, kernel, (1, 1), padding, dimension_numbers=LAYOUT)


def with_gradients(function, images, kernel, *arguments):
    output, gradients = jax.vjp(lambda *each: function(*each, *arguments), images, kernel)
    cotangent = jnp.cos(jnp.arange(output.size, dtype=output.dtype)).reshape(output.shape)
    return output, *gradients(cotangent)


def assert_equal(images, kernel, *arguments):
    expected = with_gradients(xla, images, kernel, *arguments)
    found = with_gradients(ours, images, kernel, *arguments)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10)


def compiled_for(platform: str, images, kernel, padding="SAME") -> str:
    gradients = jax.jit(jax.grad(lambda *each: jnp.sin(ours(*each, padding)).sum(), argnums=(0, 1)))
    return gradients.trace(images, kernel).lower(lowering_platforms=(platform,)).as_text()


def windows(text: str) -> list[str]:
    """Rows and columns of the kernels of all convolutions in a lowered text."""
    return re.findall(r"convolution\(.*?tensor<[\dx]+xf\d+>, tensor<(\d+x\d+)x", text)


@pytest.mark.parametrize("rows", [3, 8, 11])
@pytest.mark.parametrize("columns", [1, 4])
@pytest.mark.parametrize("padding", ["SAME", "VALID", ((2, 0), (0, 0)), ((0, 2), (0, 0))])
def test_values_and_gradients_are_those_of_xla(rows: int, columns: int, padding) -> None:
    with jax.enable_x64(True):
        assert_equal(*arrays(size=(rows, 7), columns=columns), padding)


def test_columns_may_be_padded_unevenly() -> None:
    with jax.enable_x64(True):
        assert_equal(*arrays(), ((1, 1), (2, 0)))
        assert_equal(*arrays(), ((1, 1), (0, 1)))


@pytest.mark.parametrize("images_at_once", [1, 2, 3])
def test_images_are_convolved_in_groups(monkeypatch, images_at_once: int) -> None:
    with jax.enable_x64(True):
        images, kernel = arrays()
        # Combined, an image has 6 rows of 7 columns for every 4 of its 11 rows.
        of_image = 6 * 3 * 7 * (24 + 26) * 8
        monkeypatch.setattr(winograd, "CACHE_BYTES", images_at_once * of_image)
        text = compiled_for("cpu", images, kernel)
        assert f"tensor<1x{3 * images_at_once}x7x24xf64>" in text
        assert_equal(images, kernel)


def test_six_windows_of_one_row_take_the_place_of_three_rows_on_a_cpu_alone() -> None:
    images, kernel = arrays(dtype=np.float32)
    # Forward and the images' gradient; the kernel's is six matrix products.
    text = compiled_for("cpu", images, kernel)
    assert windows(text) == ["1x3"] * 12
    assert len(re.findall("dot_general", text)) == 6
    elsewhere = windows(compiled_for("cuda", images, kernel))
    assert len(elsewhere) == 3
    assert "1x3" not in elsewhere


@pytest.mark.parametrize(
    "options",
    [
        {"channels": (23, 24)},  # combining few channels costs more than it saves
        {"size": (2, 7)},  # four rows would be made for two
        {"dtype": jnp.bfloat16},  # the sums would be rounded too much
    ],
)
def test_others_are_convolved_directly(options) -> None:
    text = compiled_for("cpu", *arrays(**options))
    assert "1x3" not in windows(text)


def test_any_number_of_images_is_convolved_directly() -> None:
    images, kernel = arrays(dtype=np.float32)
    some = jax.ShapeDtypeStruct((export.symbolic_shape("n")[0], *images.shape[1:]), jnp.float32)
    exported = export.export(jax.jit(ours), platforms=("cpu", "cuda"))(some, kernel)
    np.testing.assert_allclose(exported.call(images, kernel), xla(images, kernel), atol=1e-4)


def test_the_gradient_of_few_channels_and_of_large_images(monkeypatch) -> None:
    products = re.compile("dot_general")
    few = arrays(channels=(16, 16), dtype=np.float32)
    assert len(products.findall(compiled_for("cpu", *few))) == 6
    fewer = arrays(channels=(15, 16), dtype=np.float32)
    assert not products.findall(compiled_for("cpu", *fewer))
    large = arrays(dtype=np.float32)
    monkeypatch.setattr(winograd, "MOST_BYTES_OF_GRADIENT", 6 * 3 * 7 * (24 + 26) * 4 - 1)
    assert not products.findall(compiled_for("cpu", *large))


def test_sums_of_float32_are_rounded_little_more_than_direct_ones() -> None:
    with jax.enable_x64(True):
        images, kernel = arrays(size=(32, 16), channels=(128, 128))
        exact = [np.asarray(each) for each in with_gradients(xla, images, kernel)]
    images, kernel = images.astype(jnp.float32), kernel.astype(jnp.float32)
    for one, direct, right in zip(
        with_gradients(ours, images, kernel),
        with_gradients(xla, images, kernel),
        exact,
        strict=True,
    ):
        scale = np.abs(right).max()
        assert np.abs(np.asarray(one) - right).max() < 1e-5 * scale
        rounding, of_direct = (
            np.sqrt(np.mean((np.asarray(each) - right) ** 2)) for each in (one, direct)
        )
        assert rounding < 8 * of_direct


def test_an_image_gives_the_same_whatever_is_beside_it() -> None:
    images, kernel = arrays(batch=5, dtype=np.float32)
    changed = images.at[1:].set(jnp.inf)
    np.testing.assert_array_equal(ours(changed, kernel)[0], ours(images, kernel)[0])


def test_what_lies_outside_an_image_is_zero() -> None:
    with jax.enable_x64(True):
        images, kernel = arrays(batch=1, size=(3, 3))
        padding = Padding((1, 1), (1, 1))
        found = winograd.convolve(jnp.ones_like(images), kernel, padding)
        expected = convolve(jnp.ones_like(images), kernel, padding)
        np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="how XLA compiles for a CPU")
def test_layers_of_one_size_do_not_hold_memory_for_each_other_from_the_start() -> None:
    images, kernel = arrays(batch=8, size=(64, 64), channels=(32, 32), dtype=np.float32)

    def through_layers(images, kernel):
        for _ in range(6):
            images = jnp.sin(ours(images, kernel))
        return images.sum()

    compiled = jax.jit(through_layers).lower(images, kernel).compile()
    # Two are needed at any time, and what one image is combined into.
    assert compiled.memory_analysis().temp_size_in_bytes < 4 * images.nbytes
