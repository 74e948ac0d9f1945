"""Runs small enough for tests: generated photos of 24x36, a network of a few hundred weights."""

from collections.abc import Iterator
from pathlib import Path

import jax
import pytest
from tiny_runs import CLEAN_CACHE_VARIABLE, tiny_config

from stn_jax.config import Config


@pytest.fixture(scope="session", autouse=True)
def caches(tmp_path_factory) -> Iterator[Path]:
    """One cache of photos and compiled programs for all runs, in this process and in others."""
    folder = tmp_path_factory.mktemp("caches")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CLEAN_CACHE_VARIABLE, str(folder))
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(folder / "compiled"))
        patch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        before = jax.config.jax_compilation_cache_dir
        jax.config.update("jax_compilation_cache_dir", str(folder / "compiled"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        yield folder
        jax.config.update("jax_compilation_cache_dir", before)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 1.0)


@pytest.fixture
def config() -> Config:
    return tiny_config()
