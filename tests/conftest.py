"""What every test shares: strict shapes, and the way to real data where there is some."""

import os
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest

from stn_jax.config import Config, DataConfig, ModelConfig, SyntheticConfig, TrainConfig

jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real photos and digits; tests that want it skip where it is absent."""
    folder = os.environ.get("STN_JAX_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("set STN_JAX_DATA to a folder with isic2016/ and mnist/ to run this test")
    return Path(folder)


@pytest.fixture
def quick_compilation() -> Iterator[None]:
    """Compiles faster to slower code."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(scope="session")
def tiny_config(tmp_path_factory) -> Config:
    """A whole experiment of seconds: generated photos of 42x63, crops of 14x21, four steps."""
    return Config(
        name="tiny",
        data=DataConfig(
            source="synthetic",
            photo_size=(42, 63),
            cache_dir=str(tmp_path_factory.mktemp("photos")),
            synthetic=SyntheticConfig(train=40, val=24, test=22),
        ),
        model=ModelConfig(
            crop_size=(14, 21),
            view_shrink=3,
            localization_channels=(4, 4),
            localization_units=8,
            channels=((4,), (8,)),
            dense=(8,),
        ),
        train=TrainConfig(
            steps=4,
            batch_size=8,
            learning_rate=1e-3,
            eval_every=2,
            checkpoint_every=2,
            log_every=1,
            figure_every=2,
        ),
    )


@pytest.fixture(scope="session")
def trained(tiny_config, tmp_path_factory) -> Path:
    """Workdir of a finished tiny run; not to be changed: `shutil.copytree` it first."""
    import stn_jax

    workdir = tmp_path_factory.mktemp("runs") / "tiny"
    stn_jax.train(tiny_config, workdir)
    return workdir
