import os
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import stn_jax.config
from stn_jax.models import make_model
from stn_jax.training import memory
from stn_jax.training.state import init_state, make_optimizer
from stn_jax.training.step import make_train_step

STATE = types.SimpleNamespace(nbytes=1_640_000_000)


@pytest.fixture
def compiled():
    return jax.jit(lambda x: x + 1).lower(jnp.ones(1000)).compile()


def describe(monkeypatch, compiled, available: int, **options: int) -> str:
    """Of the paper's step: 5.33 GB for 15 photos, 1.64 GB of them weights and moments."""
    monkeypatch.setattr(memory, "step_bytes", lambda _: 5_330_000_000)
    monkeypatch.setattr(memory, "device_bytes", lambda: available)
    return memory.describe_memory(compiled, batch_size=15, state=STATE, **options)


def test_arguments_and_results_are_counted_and_donated_ones_once(compiled):
    assert memory.step_bytes(compiled) == 2 * 4000
    donated = jax.jit(lambda x: x + 1, donate_argnums=0).lower(jnp.ones(1000)).compile()
    assert memory.step_bytes(donated) == 4000


def test_the_batch_that_fits_is_said(monkeypatch, compiled):
    text = describe(monkeypatch, compiled, 12_000_000_000)
    assert text.startswith("a step needs 5.33 GB of the 12.0 GB of each device")
    # (12 - 1.64 * 4/3) GB, at (5.33 - 1.64 * 4/3) / 15 GB a photo
    assert "a batch of about 46 for each device would fit" in text
    # Photos that stay take of both what they take.
    text = describe(monkeypatch, compiled, 12_000_000_000, resident=1_000_000_000)
    assert "a batch of about 61 for each device would fit" in text


def test_too_little_memory_is_a_warning(monkeypatch, compiled):
    text = describe(monkeypatch, compiled, 4_000_000_000)
    assert text.startswith("warning: a step needs 5.33 GB of the 4.0 GB")
    assert "--train.accumulate" in text


def test_the_paper_fits_its_card():
    """A GTX 1060 has 6 GB."""
    config = stn_jax.config.load(Path(__file__).parents[2] / "configs" / "derm.py")
    model = make_model(config.model, num_classes=2, mean_color=(127.0, 127.0, 127.0))
    optimizer = make_optimizer(config.train)
    state = jax.eval_shape(
        lambda: init_state(
            model, optimizer, photo_size=config.data.photo_size, num_channels=3, seed=0
        )
    )
    photos = (config.train.batch_size, *config.data.photo_size, 3)
    batch = {
        "photo": jax.ShapeDtypeStruct(photos, jnp.uint8),
        "label": jax.ShapeDtypeStruct(photos[:1], jnp.int32),
    }
    step = make_train_step(model, optimizer, config).lower(state, batch).compile()
    assert 3 * 4 * 135_000_000 < memory.step_bytes(step) < 6e9


def test_a_device_has_memory():
    assert memory.device_bytes() > 1e8


@pytest.mark.parametrize(
    ("limit", "available"),
    [("5000000\n", 5_000_000), ("max\n", None), ("9223372036854771712\n", None), (None, None)],
)
def test_a_container_has_what_it_may_use(monkeypatch, tmp_path, limit, available):
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    told = tmp_path / "memory.max"
    if limit is not None:
        told.write_text(limit)
    monkeypatch.setattr(memory, "_LIMITS", (told, tmp_path / "absent"))
    assert memory.machine_bytes() == (available or physical)


def test_devices_of_a_cpu_share_its_memory(monkeypatch):
    monkeypatch.setattr(memory, "accelerator_bytes", lambda: None)
    whole = memory.device_bytes() * jax.local_device_count()
    monkeypatch.setattr(jax, "local_device_count", lambda: 4)
    assert memory.device_bytes() == whole // 4
