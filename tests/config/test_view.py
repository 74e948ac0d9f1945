import pytest

from stn_jax.config import Config, DataConfig, ModelConfig, natural_view_shrink


@pytest.mark.parametrize(
    ("photo_size", "factor"),
    [((630, 945), 9), ((210, 315), 3), ((126, 189), 3), ((60, 60), 1), ((1260, 1890), 18)],
)
def test_view_is_about_70_pixels_whatever_the_photo(photo_size, factor):
    assert natural_view_shrink(photo_size) == factor


def test_fixed_crops_need_no_view():
    Config(
        data=DataConfig(photo_size=(631, 945)),
        model=ModelConfig(transform="identity"),
    )
