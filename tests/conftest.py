"""What every test shares: strict shapes, and the way to real data where there is some."""

import os
from pathlib import Path

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real photos and digits; tests that want it skip where it is absent."""
    folder = os.environ.get("STN_JAX_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("set STN_JAX_DATA to a folder with isic2016/ and mnist/ to run this test")
    return Path(folder)
