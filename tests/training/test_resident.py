"""Photos that stay on the devices make the very run that photos from the host make."""

import dataclasses
import struct
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny_runs import (
    assert_same_bits,
    finish,
    metrics,
    start_program,
    tiny_config,
    with_train,
    write_config,
)

import stn_jax
from stn_jax.config import Config, ConfigError, MnistConfig, ZoomScheduleConfig
from stn_jax.data.builder import prepare
from stn_jax.data.mnist import SIZES
from stn_jax.data.pipeline import to_devices, train_batches, train_dataset
from stn_jax.data.split import Split
from stn_jax.models import make_model
from stn_jax.training import resident
from stn_jax.training.checkpoint import restore_last
from stn_jax.training.devices import make_shardings
from stn_jax.training.resident import keep_resident, make_resident
from stn_jax.training.state import init_state
from stn_jax.training.step import make_train_step

pytestmark = pytest.mark.usefixtures("quick_compilation")
FOUR_DEVICES = {
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
}


def cached(config: Config, cache: str) -> Config:
    return dataclasses.replace(config, data=dataclasses.replace(config.data, cache=cache))


def assert_same_runs(one: Path, other: Path) -> None:
    assert metrics(one) == metrics(other)
    assert_same_bits(restore_last(one)[1], restore_last(other)[1])


def test_a_run_is_the_same_to_the_last_bit_wherever_its_photos_wait(tmp_path, capsys):
    everything = {"transform": "attention", "antialias": True, "batch_norm": True}
    config = tiny_config(
        everything,
        steps=12,
        eval_every=6,
        checkpoint_every=6,
        accumulate=2,
        precision="bfloat16",
        deterministic=True,  # as a GPU needs it
        zoom_schedule=ZoomScheduleConfig(steps=8),
    )
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, balance="sample"))
    stn_jax.train(cached(config, "host"), tmp_path / "whole")
    assert "GB of photos to each device" not in capsys.readouterr().out
    # On the devices first, and after an interruption elsewhere.
    stn_jax.train(cached(with_train(config, steps=6), "device"), tmp_path / "parts")
    assert "GB of photos to each device" in capsys.readouterr().out
    stn_jax.train(cached(config, "host"), tmp_path / "parts")
    assert_same_runs(tmp_path / "parts", tmp_path / "whole")


@pytest.mark.slow
def test_four_devices_each_hold_the_photos(tmp_path):
    path = write_config(tiny_config(steps=12), tmp_path)
    for cache in ("host", "device"):
        options = ("--data.cache", cache)
        process = start_program(path, tmp_path / cache, *options, **FOUR_DEVICES)
        output = finish(process)
        assert process.returncode == 0, output
        assert "4 x cpu" in output
    assert_same_runs(tmp_path / "device", tmp_path / "host")


def test_photos_travel_once(monkeypatch):
    monkeypatch.setattr(resident, "_CHUNK_BYTES", 5 * 24 * 36 * 3)  # 64 photos in 13 chunks
    config = tiny_config()
    split = prepare(config.data).splits["train"]
    kept = make_resident(split)
    batch = train_dataset(kept, batch_size=8, seed=0)[3]
    assert batch.keys() == {"label", "index"}
    batch_sharding, everywhere = make_shardings(config.train)
    there = next(kept.attach(iter([jax.device_put(batch, batch_sharding)]), everywhere))
    assert there["resident"].dtype == np.uint8
    assert there["resident"].nbytes == kept.nbytes
    found = kept.look_up(there["resident"], there["index"], jnp.int32(3))
    np.testing.assert_array_equal(found, train_dataset(split, batch_size=8, seed=0)[3]["photo"])
    whole = [split[place]["photo"] for place in range(len(split))]
    np.testing.assert_array_equal(there["resident"], whole)


def write_idx(root: Path, name: str, values: np.ndarray) -> None:
    header = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
    (root / name).write_bytes(header + values.astype(np.uint8).tobytes())


def digits(task: str, root: Path) -> Config:
    """Configuration of a task of MNIST, on random pixels."""
    random = np.random.default_rng(0)
    for name, count in (("train", 60), ("t10k", 12)):
        pixels = random.integers(0, 256, (count, 28, 28))
        write_idx(root, f"{name}-images-idx3-ubyte", pixels)
        write_idx(root, f"{name}-labels-idx1-ubyte", np.arange(count) % 10)
    data = dataclasses.replace(
        tiny_config().data,
        source="mnist",
        root=str(root),
        photo_size=SIZES[task],
        mnist=MnistConfig(task=task),
    )
    config = tiny_config({"crop_size": (12, 12), "view_shrink": 2}, steps=5, eval_every=1000)
    return dataclasses.replace(config, data=data)


@pytest.mark.parametrize("task", sorted(SIZES))
def test_digits_are_distorted_on_the_device_as_they_were_before_it(task, tmp_path):
    config = digits(task, tmp_path)
    split = prepare(config.data).splits["train"]
    kept = make_resident(split)
    assert kept.nbytes == 2 * 51 * 28 * 28
    batch = train_dataset(kept, batch_size=8, seed=0)[4]
    assert batch.keys() == {"label", "index"}
    _, everywhere = make_shardings(config.train)
    photos = jax.jit(kept.look_up)(kept.load(everywhere), jnp.asarray(batch["index"]), 4)
    before = train_dataset(split, batch_size=8, seed=0)[4]["photo"]
    # Compiled in another place, a distortion may round a rare pixel to the next grey level.
    difference = np.abs(np.asarray(photos, int) - before.astype(int))
    assert difference.max() <= 1
    assert np.mean(difference > 0) < 1e-3


def take_step(config: Config, split: Split, *, resident: bool) -> dict[str, float]:
    """The third step of a run whose photos stay on the devices or travel."""
    batch_sharding, everywhere = make_shardings(config.train)
    kept = make_resident(split) if resident else None
    order = train_dataset(kept or split, batch_size=8, seed=0)
    batches = to_devices(train_batches(order, start=2), batch_sharding)
    if kept:
        batches = kept.attach(batches, everywhere)
    channels = split[0]["photo"].shape[-1]
    model = make_model(config.model, num_classes=10, mean_color=(90.0,) * channels)
    optimizer = optax.sgd(0.1)
    state = init_state(
        model, optimizer, photo_size=config.data.photo_size, num_channels=channels, seed=0
    )
    state = dataclasses.replace(state, step=jnp.int32(2))
    step = make_train_step(model, optimizer, config, look_up=kept.look_up if kept else None)
    _, metrics = step(state, next(batches))
    return {name: float(value) for name, value in metrics.items()}


def test_digits_distorted_in_the_step_make_the_same_step(tmp_path):
    config = digits("TC", tmp_path)  # the one task that needs other digits beside its own
    split = prepare(config.data).splits["train"]
    one, other = (take_step(config, split, resident=resident) for resident in (False, True))
    assert one == pytest.approx(other, rel=1e-3, abs=1e-6)


def give_memory(monkeypatch, count: int | None) -> None:
    """Makes the devices an accelerator with so many bytes; None: a CPU."""
    stats = {"bytes_limit": count} if count else None
    devices = [types.SimpleNamespace(memory_stats=lambda: stats)]
    monkeypatch.setattr(jax, "local_devices", lambda: devices)


@pytest.mark.parametrize(
    ("memory", "stays"), [(None, False), (4 * 64 * 2592 - 1, False), (4 * 64 * 2592, True)]
)
def test_auto_keeps_what_fits_in_a_quarter_of_an_accelerator(monkeypatch, memory, stays):
    split = prepare(tiny_config().data).splits["train"]
    give_memory(monkeypatch, memory)
    assert (keep_resident(split, "auto", beside=0) is not None) is stays
    assert keep_resident(split, "host", beside=0) is None


def test_photos_that_do_not_fit_are_refused_with_the_sizes_and_the_way_out(monkeypatch):
    split = prepare(tiny_config().data).splits["train"]
    give_memory(monkeypatch, 100_000 + 64 * 2592)
    assert keep_resident(split, "device", beside=100_000).nbytes == 64 * 2592
    give_memory(monkeypatch, 100_000 + 64 * 2592 - 1)
    with pytest.raises(
        ConfigError,
        match=r"--data\.cache device: the 64 training photos take 0\.000166 GB, and each device "
        r"has 0\.000166 GB beside the weights: use --data\.cache host, or a smaller --data\.photo",
    ):
        keep_resident(split, "device", beside=100_000)
