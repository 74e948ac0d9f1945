"""The same run on one device, on four, and in two processes of two."""

import signal
import socket
import subprocess
import threading
from pathlib import Path

import jax
import numpy as np
import pytest
from tiny_runs import finish, metrics, start_program, tiny_config, write_config

import stn_jax
from stn_jax.config import ConfigError, TrainConfig
from stn_jax.training import devices
from stn_jax.training.checkpoint import restore_last
from stn_jax.training.devices import agree_on, any_process, join_cluster, make_shardings

STEPS = 20
TWO_DEVICES = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
FOUR_DEVICES = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}


@pytest.fixture(scope="module")
def config():
    # Dropout draws by place in the sharded array, so it is the same on any number of devices.
    return tiny_config(steps=STEPS, checkpoint_every=5)


@pytest.fixture(scope="module")
def on_one(config, tmp_path_factory) -> Path:
    workdir = tmp_path_factory.mktemp("one")
    stn_jax.train(config, workdir)
    return workdir


def assert_same_losses(workdir: Path, expected: Path) -> None:
    for name in ("train/loss", "val/loss"):
        found, wanted = (
            [line[name] for line in metrics(folder) if name in line]
            for folder in (workdir, expected)
        )
        assert len(found) == len(wanted) > 0
        # Sums in another order differ in their last bits, which Adam enlarges: by less than 1e-5 on
        # one kind of processor, by 3e-5 on another.
        np.testing.assert_allclose(found, wanted, atol=1e-4, rtol=0)


def test_four_devices_equal_one(config, on_one, tmp_path):
    process = start_program(write_config(config, tmp_path), tmp_path / "run", **FOUR_DEVICES)
    output = finish(process)
    assert process.returncode == 0, output
    assert "4 x cpu" in output
    assert_same_losses(tmp_path / "run", on_one)


def start_pair(config_file: Path, workdir: Path, *options: str) -> list[subprocess.Popen]:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    cluster = ("--cluster.coordinator", address, "--cluster.processes", "2", "--cluster.process")
    return [
        start_program(config_file, workdir, *options, *cluster, str(index), **TWO_DEVICES)
        for index in range(2)
    ]


def wait_for(path: Path, pair: list[subprocess.Popen]) -> None:
    while not path.exists():
        assert all(process.poll() is None for process in pair), pair[0].stdout.read()
        threading.Event().wait(0.01)


@pytest.mark.slow
def test_two_processes_equal_one_and_stop_together(config, on_one, tmp_path):
    config_file, workdir = write_config(config, tmp_path), tmp_path / "run"
    pair = start_pair(config_file, workdir)
    wait_for(workdir / "checkpoints" / "5", pair)
    pair[1].send_signal(signal.SIGTERM)
    outputs = [finish(process) for process in pair]
    assert [process.returncode for process in pair] == [0, 0], outputs
    assert "stopped and saved at step" in outputs[0]
    pair = start_pair(config_file, workdir)
    outputs = [finish(process) for process in pair]
    assert [process.returncode for process in pair] == [0, 0], outputs
    assert "resuming at step" in outputs[0]
    assert "finished" not in outputs[1], "one process speaks for all"
    assert_same_losses(workdir, on_one)


@pytest.mark.slow
def test_two_processes_start_from_the_weights_of_another_run(config, on_one, tmp_path):
    options = ("--train.steps", "1", "--train.init-from", str(on_one))
    pair = start_pair(write_config(config, tmp_path), tmp_path / "run", *options)
    outputs = [finish(process) for process in pair]
    assert [process.returncode for process in pair] == [0, 0], outputs
    assert f"started from the weights of {on_one}" in outputs[0]


@pytest.mark.slow
def test_a_killed_process_ends_the_job_and_another_number_of_devices_resumes(config, tmp_path):
    config_file, workdir = write_config(config, tmp_path), tmp_path / "run"
    pair = start_pair(config_file, workdir, "--train.steps", "1000000")
    wait_for(workdir / "checkpoints" / "10", pair)
    pair[1].kill()
    pair[1].communicate()
    output = finish(pair[0])
    assert pair[0].returncode != 0
    assert "another task died" in output
    reached = max(int(path.name) for path in (workdir / "checkpoints").glob("[0-9]*[0-9]"))
    outcome = stn_jax.train(tiny_config(steps=reached + 3, checkpoint_every=5), workdir)
    assert outcome.finished
    assert restore_last(workdir)[0] == reached + 3


@pytest.mark.parametrize(
    ("batch_size", "accumulate", "message"),
    [
        (6, 1, "6 cannot be divided over 4 devices: use a multiple of 4"),
        (12, 2, "12 cannot be divided over 4 devices in 2 parts: use a multiple of 8"),
    ],
)
def test_batch_that_cannot_be_divided(monkeypatch, batch_size, accumulate, message):
    monkeypatch.setattr(jax, "device_count", lambda: 4)
    with pytest.raises(ConfigError, match=message):
        make_shardings(TrainConfig(batch_size=batch_size, accumulate=accumulate))


@pytest.mark.parametrize(
    ("environment", "arguments", "joins"),
    [
        ({}, (), False),
        ({"SLURM_NTASKS": "8"}, (), False),
        ({"SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "1"}, (), False),
        ({"SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "8"}, (), True),
        ({"JOB_COMPLETION_INDEX": "0"}, (), True),
        ({}, ("host:1234", 2, 1), True),
    ],
)
def test_a_job_is_joined_where_there_is_one(monkeypatch, environment, arguments, joins):
    for name in ("SLURM_NTASKS", "SLURM_STEP_NUM_TASKS", "JOB_COMPLETION_INDEX"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    calls = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda *args, **_: calls.append(args))
    join_cluster(*arguments)
    assert calls == ([arguments or (None, None, None)] if joins else [])


def test_part_of_a_job_is_refused():
    with pytest.raises(ConfigError, match="go together"):
        join_cluster(coordinator="host:1234")


def test_one_process_agrees_with_itself():
    assert agree_on(7) == 7
    assert any_process(True)
    assert not any_process(False)


@pytest.fixture
def compilation_cache():
    """JAX's setting of where compiled programs are kept; as it was, afterwards."""
    before = jax.config.jax_compilation_cache_dir
    yield before
    jax.config.update("jax_compilation_cache_dir", before)


def test_compiled_programs_are_kept_in_the_users_cache(monkeypatch, tmp_path, compilation_cache):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    devices.use_compilation_cache()
    assert jax.config.jax_compilation_cache_dir == compilation_cache, "what was set is left alone"
    jax.config.update("jax_compilation_cache_dir", None)
    devices.use_compilation_cache()
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "stn_jax" / "compiled")


def test_without_a_home_programs_are_compiled_every_time(monkeypatch, compilation_cache):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    jax.config.update("jax_compilation_cache_dir", None)
    devices.use_compilation_cache()
    assert jax.config.jax_compilation_cache_dir is None
