"""Signals at every moment of a real run of train.py."""

import contextlib
import gc
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_runs import finish, start_program, tiny_config, write_config

from stn_jax.training import interrupts
from stn_jax.training.checkpoint import CheckpointStore, restore_last
from stn_jax.training.errors import Interrupted
from stn_jax.training.interrupts import StopSignal
from stn_jax.training.loop import train

# The run stops by itself after this many steps if no signal reaches it.
LONG = 100_000


@pytest.fixture
def config_file(tmp_path) -> Path:
    config = tiny_config(steps=LONG, eval_every=40, checkpoint_every=25, figure_every=LONG)
    return write_config(config, tmp_path / "config")


def when_it_says(process: subprocess.Popen, text: str) -> None:
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"the program ended without saying {text!r}")


def when_there_is(path: Path) -> Callable[[subprocess.Popen], None]:
    def wait(process: subprocess.Popen) -> None:
        while not list(path.parent.glob(path.name)):
            assert process.poll() is None, process.stdout.read()
            threading.Event().wait(0.002)

    return wait


def when_signals_are_caught(process: subprocess.Popen) -> None:
    """The first moment at which it can answer both signals: long before JAX is imported."""
    status = Path(f"/proc/{process.pid}/status")
    while True:
        caught = next(line for line in status.read_text().splitlines() if "SigCgt" in line)
        if int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1:
            return
        threading.Event().wait(0.002)


MOMENTS = {
    "importing": lambda process, workdir: when_signals_are_caught(process),
    "reading photos": lambda process, workdir: when_it_says(process, "SYNTHETIC photos"),
    "compiling": lambda process, workdir: when_it_says(process, "compiling"),
    "training": lambda process, workdir: when_it_says(process, "step 40/"),
    "saving": lambda process, workdir: when_there_is(workdir / "checkpoints" / "*tmp*")(process),
}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("importing", signal.SIGINT),
        ("reading photos", signal.SIGTERM),
        ("compiling", signal.SIGINT),
        ("training", signal.SIGTERM),
        ("saving", signal.SIGTERM),
    ],
)
def test_a_signal_is_answered_at_any_moment(config_file, tmp_path, moment, number):
    workdir = tmp_path / "run"
    process = start_program(config_file, workdir)
    MOMENTS[moment](process, workdir)
    process.send_signal(number)
    output = finish(process)
    assert process.returncode == 0, output
    assert "Traceback" not in output
    if moment in ("compiling", "training", "saving"):
        assert f"{number.name}: stopping after this step" in output
    if moment in ("training", "saving"):
        assert "go on with the same command:" in output
        assert f"--workdir {workdir}" in output
        step, state, _ = restore_last(workdir)
        assert f"stopped and saved at step {step}" in output
        assert int(state.step) == step > 0
        logged = json.loads((workdir / "metrics.jsonl").read_text().splitlines()[-1])
        assert logged["step"] == step
    else:
        assert "saved" not in output  # there was nothing to save


@pytest.mark.usefixtures("quick_compilation")
def test_a_signal_while_the_last_checkpoint_is_written_changes_nothing(tmp_path, monkeypatch):
    wait, signals = CheckpointStore.close, [signal.SIGTERM]

    def close(store):
        while signals:
            signal.raise_signal(signals.pop())
        wait(store)

    monkeypatch.setattr(CheckpointStore, "close", close)
    assert train(tiny_config(steps=2), tmp_path).finished
    assert not signals
    assert restore_last(tmp_path)[0] == 2


@pytest.fixture
def signal_in_the_garbage_collector(monkeypatch):
    """Has the next collection interrupted by SIGTERM, where Python drops what is raised."""
    # A busy machine may take a while from the collection to the line that is to be interrupted.
    monkeypatch.setattr(interrupts, "AGAIN", 1.0)

    def interrupt(phase, info):
        gc.callbacks.remove(interrupt)
        signal.raise_signal(signal.SIGTERM)

    gc.callbacks.append(interrupt)
    yield
    assert interrupt not in gc.callbacks


@pytest.mark.usefixtures("signal_in_the_garbage_collector")
def test_a_signal_in_the_garbage_collector_is_answered_a_moment_later():
    with StopSignal() as stop:
        gc.collect()
        assert stop.requested
        with pytest.raises(Interrupted, match="SIGTERM"):
            time.sleep(60)


@pytest.mark.usefixtures("signal_in_the_garbage_collector")
def test_a_signal_in_the_garbage_collector_reaches_the_loop_that_has_begun_since():
    with StopSignal():
        gc.collect()
        with StopSignal() as stop, stop.deferred():
            until = time.monotonic() + 60
            while not stop.requested and time.monotonic() < until:
                time.sleep(0.001)
            assert stop.requested


def test_what_else_cannot_be_raised_is_still_said(monkeypatch):
    said = []
    monkeypatch.setattr(sys, "unraisablehook", lambda dropped: said.append(dropped.exc_value))

    class Broken:
        def __del__(self):
            raise OSError("in a finalizer")

    with StopSignal():
        Broken()
    assert [str(error) for error in said] == ["in a finalizer"]


def test_a_second_interrupt_leaves_at_once(tmp_path):
    stop_code = (
        "import signal, sys, time\n"
        "from stn_jax.training.interrupts import StopSignal\n"
        "with StopSignal() as stop, stop.deferred('one moment'):\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(100)\n"
        "    print('requested', stop.requested, flush=True)\n"
        "    time.sleep(100)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", stop_code],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    when_it_says(process, "ready")
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=0.5)
    assert process.poll() is None, "the first one only asks"
    assert process.stdout.readline() == "SIGINT: one moment\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == -signal.SIGINT
    process.stdout.close()


def test_two_trainers_in_one_workdir(config_file, tmp_path):
    workdir = tmp_path / "run"
    first = start_program(config_file, workdir)
    when_it_says(first, "compiling")
    second = start_program(config_file, workdir)
    output = finish(second)
    assert second.returncode == 2
    assert f"another training process (pid {first.pid})" in output
    first.send_signal(signal.SIGTERM)
    assert "error" not in finish(first)
    assert first.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_request_is_raised_or_kept(number):
    with pytest.raises(Interrupted, match=signal.Signals(number).name), StopSignal():
        signal.raise_signal(number)
    with StopSignal() as stop, stop.deferred():
        signal.raise_signal(number)
        assert stop.requested


def test_the_handlers_come_back():
    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    with StopSignal() as stop, stop.deferred():
        signal.raise_signal(signal.SIGINT)
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == before


def test_in_another_thread_signals_are_left_alone():
    def use() -> None:
        with StopSignal() as stop:
            seen.append(stop.requested)

    seen = []
    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert seen == [False]


STOPPED = """
import signal, sys
from stn_jax import cli

def main():
    print("half")
    signal.raise_signal(signal.{name})

sys.exit(cli.run(main, resumes={resumes}))
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("resumes", [True, False])
def test_stopped_where_nothing_is_saved(name, resumes):
    program = [sys.executable, "-c", STOPPED.format(name=name, resumes=resumes)]
    ended = subprocess.run(program, capture_output=True, text=True)
    assert ended.stdout == "half\n"
    if resumes:
        assert ended.returncode == 0
        assert ended.stderr.startswith(f"stopped by {name}; the same command goes on")
    else:
        assert ended.returncode == -signal.Signals[name]
        assert ended.stderr == f"stopped by {name}\n"


COMPILING = """
import os, signal, sys, threading
import jax, jax.numpy as jnp
from stn_jax import cli

def long(x):
    for _ in range(300):
        x = jnp.sin(x @ x)
    threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGTERM]).start()
    return x

def main():
    jax.jit(long)(jnp.ones((50, 50)))
    signal.pause()

sys.exit(cli.run(main))
"""


def test_stopped_in_the_middle_of_compiling_it_ends_from_the_signal_and_does_not_crash():
    ended = subprocess.run([sys.executable, "-c", COMPILING], capture_output=True, text=True)
    assert ended.returncode == -signal.SIGTERM
    assert ended.stderr == "stopped by SIGTERM\n"
