"""The convolution is XLA's; only the way it and its gradients are computed is ours."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from stn_jax.models.convolution import conv_general_dilated, direct, pieces, rows

LAYOUT = ("NHWC", "HWIO", "NHWC")


def arrays(*, batch=5, size=(24, 9), window=(3, 3), channels=(9, 4)):
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.normal(size=(batch, *size, channels[0])))
    kernel = jnp.asarray(rng.normal(size=(*window, *channels)))
    return images, kernel


def ours(images, kernel, padding="SAME", strides=(1, 1), **options):
    return conv_general_dilated(
        images, kernel, strides, padding, dimension_numbers=LAYOUT, **options
    )


def xla(images, kernel, padding="SAME", strides=(1, 1), **options):
    return lax.conv_general_dilated(
        images, kernel, strides, padding, dimension_numbers=LAYOUT, **options
    )


def assert_equal_with_gradients(images, kernel, *arguments, **options):
    expected, expected_vjp = jax.vjp(
        lambda *each: xla(*each, *arguments, **options), images, kernel
    )
    found, found_vjp = jax.vjp(lambda *each: ours(*each, *arguments, **options), images, kernel)
    cotangent = jnp.cos(jnp.arange(expected.size, dtype=expected.dtype)).reshape(expected.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)
    for one, other in zip(found_vjp(cotangent), expected_vjp(cotangent), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-11)


# A row of a 9 pixels wide image and of its output has 9 * (9 + 4) * 8 = 936 bytes.
@pytest.mark.parametrize("piece_bytes", [1, 8000, 60000, 2**20])
@pytest.mark.parametrize("batch", [0, 1, 6])
def test_values_and_gradients_are_those_of_xla_however_they_are_divided(
    monkeypatch, piece_bytes: int, batch: int
) -> None:
    monkeypatch.setattr(pieces, "PIECE_BYTES", piece_bytes)
    with jax.enable_x64(True):
        assert_equal_with_gradients(*arrays(batch=batch))


@pytest.mark.parametrize("piece_bytes", [4000, 2**20])
@pytest.mark.parametrize("window", [(1, 1), (2, 4), (3, 3), (5, 5)])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_windows_and_paddings(monkeypatch, piece_bytes: int, window, padding) -> None:
    monkeypatch.setattr(pieces, "PIECE_BYTES", piece_bytes)
    with jax.enable_x64(True):
        assert_equal_with_gradients(*arrays(window=window), padding)


# One channel, or one feature, whose gradient has one channel; few of both, whose gradient is made
# row by row; enough of both to share pixels.
@pytest.mark.parametrize("channels", [(1, 4), (4, 1), (3, 5), (16, 17)])
@pytest.mark.parametrize("window", [(2, 4), (3, 3)])
@pytest.mark.parametrize("padding", ["SAME", "VALID", ((1, 0), (0, 1))])
def test_every_way_has_the_values_and_gradients_of_xla(channels, window, padding) -> None:
    with jax.enable_x64(True):
        assert_equal_with_gradients(
            *arrays(batch=2, size=(6, 7), window=window, channels=channels), padding
        )


@pytest.mark.parametrize("images_at_once", [1, 2, 3])
def test_the_gradient_of_few_channels_is_added_up_over_groups_of_images(
    monkeypatch, images_at_once: int
) -> None:
    with jax.enable_x64(True):
        images, kernel = arrays(batch=6, channels=(3, 5))
        # Three columns of three channels, and five features, at each of 24 * 9 places.
        of_image = 24 * 9 * (3 * 3 + 5) * 8
        monkeypatch.setattr(rows, "CACHE_BYTES", images_at_once * of_image)
        gradient = jax.jit(jax.grad(lambda kernel: jnp.sin(ours(images, kernel)).sum()))
        lowered = gradient.trace(kernel).lower(lowering_platforms=("cpu",)).as_text()
        assert f"tensor<{images_at_once}x24x9x9xf64>" in lowered
        assert_equal_with_gradients(images, kernel)


def test_the_gradient_of_few_channels_is_one_product_a_row_on_a_cpu_alone() -> None:
    def products(platform, **options):
        images, kernel = (array.astype(jnp.float32) for array in arrays(**options))
        gradient = jax.jit(jax.grad(lambda kernel: jnp.sin(ours(images, kernel)).sum()))
        lowered = gradient.trace(kernel).lower(lowering_platforms=(platform,)).as_text()
        return len(re.findall(r"stablehlo\.dot_general", lowered))

    assert products("cpu", window=(5, 5), channels=(3, 16)) == 5
    assert products("cuda", window=(5, 5), channels=(3, 16)) == 0
    assert products("cpu", channels=(2, 16)) == 0
    assert products("cpu", channels=(3, 33)) == 0


def rows_of_convolutions(platform: str, **options) -> list[int]:
    images, kernel = (array.astype(jnp.float32) for array in arrays(**options))
    gradients = jax.jit(jax.grad(lambda *each: jnp.sin(ours(*each)).sum(), argnums=(0, 1)))
    lowered = gradients.trace(images, kernel).lower(lowering_platforms=(platform,)).as_text()
    return [int(rows) for rows in re.findall(r"convolution.*-> tensor<2x(\d+)x", lowered)]


def test_narrow_images_have_a_row_more_on_a_cpu_alone() -> None:
    narrow = {"batch": 2, "size": (12, direct.NARROW), "channels": (16, 16)}
    assert rows_of_convolutions("cpu", **narrow) == [13, 13]
    assert rows_of_convolutions("cuda", **narrow) == [12, 12]
    wide = {**narrow, "size": (12, direct.NARROW + 1)}
    assert rows_of_convolutions("cpu", **wide) == [12, 12]
    assert rows_of_convolutions("cpu", **{**narrow, "channels": (3, 16)}) == [12, 12]


def test_images_of_one_channel_are_added_up_on_a_cpu_alone() -> None:
    grey = {"batch": 2, "size": (12, 9), "channels": (1, 16)}
    # What remains is the gradient of the images.
    assert rows_of_convolutions("cpu", **grey) == [12]
    assert rows_of_convolutions("cuda", **grey) == [12, 12]
    assert rows_of_convolutions("cpu", **grey, window=(5, 5)) == [12, 12]


def test_uneven_padding(monkeypatch) -> None:
    monkeypatch.setattr(pieces, "PIECE_BYTES", 4000)
    with jax.enable_x64(True):
        assert_equal_with_gradients(*arrays(window=(4, 3)), ((3, 0), (1, 2)))
        assert_equal_with_gradients(*arrays(window=(4, 3)), ((0, 3), (0, 0)))
        few_rows = arrays(size=(6, 9), window=(5, 3))
        assert_equal_with_gradients(*few_rows, ((4, 0), (1, 1)))
        assert_equal_with_gradients(*few_rows, ((0, 4), (1, 1)))


@pytest.mark.parametrize(
    "options",
    [
        {"strides": (2, 1)},
        {"padding": ((4, 4), (1, 1))},
        {"rhs_dilation": (2, 2)},
        {"lhs_dilation": (1, 2), "padding": ((0, 0), (0, 0))},
        {"precision": lax.Precision.HIGHEST},
    ],
)
def test_other_convolutions_are_left_to_xla(options) -> None:
    with jax.enable_x64(True):
        assert_equal_with_gradients(*arrays(), **options)


@pytest.mark.parametrize("size", [(1, 5), (5, 1), (2, 2)])
def test_images_smaller_than_the_window_have_no_output_and_no_gradient(size) -> None:
    with jax.enable_x64(True):
        assert_equal_with_gradients(*arrays(size=size, window=(3, 3)), "VALID")


def test_one_channel_of_bfloat16_is_added_up_in_float32() -> None:
    images, kernel = arrays(batch=2, size=(12, 12), channels=(1, 4))
    images, kernel = images.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16)
    exact = ours(images.astype(jnp.float32), kernel.astype(jnp.float32))
    np.testing.assert_allclose(ours(images, kernel), exact, rtol=2**-8)


def test_groups_are_left_to_xla() -> None:
    with jax.enable_x64(True):
        images, kernel = arrays(channels=(3, 4))
        assert_equal_with_gradients(images, kernel[:, :, :1, :3], feature_group_count=3)


@pytest.mark.parametrize("channels", [(9, 4), (3, 4)])
def test_a_sum_over_many_pieces_of_bfloat16_is_rounded_once(monkeypatch, channels) -> None:
    images, kernel = (array.astype(jnp.bfloat16) for array in arrays(batch=64, channels=channels))

    def gradient(dtype):
        def total(kernel):
            return ours(images.astype(dtype), kernel.astype(dtype)).astype(jnp.float32).sum()

        return jax.grad(total)(kernel).astype(jnp.float32)

    exact = gradient(jnp.float32)
    monkeypatch.setattr(pieces, "PIECE_BYTES", 1)
    monkeypatch.setattr(rows, "CACHE_BYTES", 1)
    np.testing.assert_allclose(gradient(jnp.bfloat16), exact, rtol=2**-7)


@pytest.mark.parametrize("channels", [(9, 4), (3, 4), (24, 24)])
def test_vmap_and_second_derivatives_agree(monkeypatch, channels) -> None:
    monkeypatch.setattr(pieces, "PIECE_BYTES", 4000)
    with jax.enable_x64(True):
        images, kernel = arrays(batch=2, size=(9, 5), channels=channels)

        def curved(convolve):
            return lambda images, kernel: jnp.sin(convolve(images[None], kernel)).sum()

        def each(convolve):
            return jax.vmap(jax.grad(curved(convolve), argnums=1), (0, None))(images, kernel)

        def twice(convolve):
            def slope(kernel):
                return (jax.grad(curved(convolve), argnums=1)(images[0], kernel) ** 2).sum()

            return jax.grad(slope)(kernel)

        np.testing.assert_allclose(each(ours), each(xla), rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(twice(ours), twice(xla), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("channels", [(9, 4), (24, 24)])
def test_in_a_loop_both_gradients_are_in_the_layout_that_xla_is_quick_at(channels) -> None:
    images, kernel = (array.astype(jnp.float32) for array in arrays(channels=channels))

    def total(images, kernel):
        return jnp.sin(ours(images, kernel)).sum()

    def loop(images, kernel):
        add = jax.grad(total, argnums=(0, 1))
        return lax.scan(
            lambda sums, _: (jax.tree.map(jnp.add, sums, add(images, kernel)), None),
            (jnp.zeros_like(images), jnp.zeros_like(kernel)),
            length=3,
        )[0]

    lowered = jax.jit(loop).trace(images, kernel).lower(lowering_platforms=("cpu",)).as_text()
    layouts = re.findall(r"dim_numbers = (.+?), window", lowered)
    assert len(layouts) >= 3
    assert set(layouts) == {"[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]"}
