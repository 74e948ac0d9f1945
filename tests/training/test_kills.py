"""SIGKILL at random moments while every step is saved. `make soak` kills more often."""

import json
import multiprocessing
import os
import random
import signal
import sys
import threading
from pathlib import Path

import pytest
from tiny_runs import assert_same_bits, tiny_config, with_train, write_config

import stn_jax
from stn_jax import cli
from stn_jax.training.checkpoint import restore_last

KILLS = int(os.environ.get("STN_JAX_KILLS", "20"))


def run_program(arguments: list[str], log: str) -> None:
    """What train.py does, in a process that has already imported everything."""
    with open(log, "a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    from stn_jax.training.command import main

    sys.argv = ["train.py", *arguments]
    sys.exit(cli.run(main, resumes=True))


@pytest.fixture(scope="module")
def server():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["stn_jax.training.loop"])
    return context


def last_logged(workdir: Path) -> int:
    path = workdir / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    whole = [json.loads(line)["step"] for line in lines if line.endswith("\n")]
    return max(whole, default=0)


def wait_until(condition, process) -> None:
    while not condition():
        assert process.is_alive(), "the program ended by itself"
        threading.Event().wait(0.005)


@pytest.mark.slow
def test_killed_at_random_moments(server, tmp_path):
    config = tiny_config(steps=10**6, eval_every=7, checkpoint_every=1, log_every=1)
    workdir, log = tmp_path / "run", tmp_path / "log"
    arguments = ["--config", str(write_config(config, tmp_path)), "--workdir", str(workdir)]
    chance = random.Random(0)
    saved = 0
    for _ in range(KILLS):
        process = server.Process(target=run_program, args=(arguments, str(log)))
        process.start()
        wait_until(lambda reached=saved: last_logged(workdir) > reached, process)
        threading.Event().wait(chance.uniform(0, 0.4))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        logged = last_logged(workdir)
        saved, state, _ = restore_last(workdir)
        assert int(state.step) == saved
        # At most the step whose files were still on their way is lost: one interval.
        assert saved >= logged - 1
    assert "damaged" not in log.read_text()
    assert not (workdir / "damaged").exists()
    finished = with_train(config, steps=saved + 3)
    stn_jax.train(finished, workdir)
    stn_jax.train(with_train(finished, checkpoint_every=10**6), tmp_path / "whole")
    assert_same_bits(restore_last(workdir)[1], restore_last(tmp_path / "whole")[1])
