import os
import re
import signal

import numpy as np
import pytest
from tiny_runs import metrics, with_train

import stn_jax
from stn_jax.training import loop
from stn_jax.training.checkpoint import restore_last
from stn_jax.training.errors import CollapseError, NonFiniteError
from stn_jax.training.guards import CollapseWatch, check_finite

pytestmark = pytest.mark.usefixtures("quick_compilation")

HEALTHY = {"outside": 0.0, "scale": 0.4, "condition": 1.0, "spread": 0.1}


@pytest.mark.parametrize("name", ["loss", "gradient_norm"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_names_step_and_photos(name, value):
    values = {"loss": 1.0, "gradient_norm": 1.0, name: np.float32(value)}
    with pytest.raises(NonFiniteError, match=rf"step 7: {name} not finite.*batch: a\.jpg, b\.jpg"):
        check_finite(7, values, lambda: ["a.jpg", "b.jpg"])


def test_photos_are_not_looked_up_without_need():
    check_finite(7, {"loss": 1.0, "gradient_norm": 1.0}, lambda: pytest.fail("looked up"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"outside": 0.6}, "60% of the crop lies outside"),
        ({"scale": 0.01}, "0.010 photo sides wide"),
        ({"condition": 30.0}, "stretched 30 times"),
        ({"spread": 0.0}, "the same place in every photo"),
    ],
)
def test_collapse_is_said_once_after_enough_steps(change, words):
    watch = CollapseWatch(patience=3)
    assert watch.check(1, HEALTHY) is None
    assert not watch.failing
    said = [watch.check(step, {**HEALTHY, **change}) for step in range(2, 7)]
    assert [said[0], said[1], said[3], said[4]] == [None] * 4
    assert said[2].startswith("step 4: the transformer has collapsed: for 3 steps")
    assert words in said[2]
    assert watch.failing


def test_a_healthy_step_starts_the_count_again():
    watch = CollapseWatch(patience=2)
    for step in range(10):
        assert watch.check(step, {**HEALTHY, "scale": 0.01 if step % 2 else 0.4}) is None


def test_the_identity_at_the_start_is_no_collapse():
    watch = CollapseWatch(patience=1)
    for step in range(10):
        assert watch.check(step, {**HEALTHY, "scale": 1.0, "spread": 0.0}) is None


def test_that_crops_varied_is_known_after_an_interruption(config, tmp_path, monkeypatch, capsys):
    check = CollapseWatch.check

    def seen(watch, step, metrics):
        spread = metrics["spread"] + 0.1 if step == 1 else 0.0
        return check(watch, step, {**HEALTHY, "spread": spread})

    monkeypatch.setattr(CollapseWatch, "check", seen)
    config = with_train(config, collapse_steps=2)
    stn_jax.train(with_train(config, steps=1), tmp_path)
    assert restore_last(tmp_path)[2]["varied"] is True
    stn_jax.train(with_train(config, steps=3), tmp_path)
    said = capsys.readouterr().out
    assert re.search("WARNING: step 3: .*it looks at the same place in every photo", said)


def test_what_is_just_within_the_limits_is_no_collapse():
    watch = CollapseWatch(patience=1)
    assert watch.check(1, HEALTHY) is None
    limits = {"outside": 0.5, "scale": 0.05, "condition": 20.0, "spread": 1e-4}
    assert watch.check(2, limits) is None


@pytest.mark.parametrize(("most", "collapsed"), [(9e-4, False), (1e-3, True)])
def test_crops_that_never_varied_by_ten_times_the_least_spread_are_no_collapse(most, collapsed):
    watch = CollapseWatch(patience=1, min_spread=1e-4)
    assert watch.check(1, {**HEALTHY, "spread": most}) is None
    assert (watch.check(2, {**HEALTHY, "spread": 9e-5}) is not None) == collapsed


def test_a_run_that_is_no_longer_finite_stops_before_it_is_saved(config, tmp_path):
    # The first update throws the weights to about 1e30, the second loss overflows.
    config = with_train(config, learning_rate=1e30, checkpoint_every=1, steps=9)
    with pytest.raises(NonFiniteError, match=r"step 2: loss.*batch: synthetic-\d+, synthetic"):
        stn_jax.train(config, tmp_path)
    step, state, _ = restore_last(tmp_path)
    assert step == int(state.step) == 1
    assert [line["step"] for line in metrics(tmp_path)] == [1]


@pytest.fixture
def collapsing(config):
    """A localization net that leaves the photo after a few steps."""
    return with_train(
        config,
        localization_rate=100.0,
        learning_rate=3e-2,
        checkpoint_every=1,
        collapse_steps=3,
        steps=20,
    )


def test_collapse_is_a_warning(collapsing, tmp_path, capsys):
    assert stn_jax.train(collapsing, tmp_path).finished
    assert "WARNING: step" in capsys.readouterr().out


def test_collapse_stops_at_the_last_healthy_checkpoint(collapsing, tmp_path):
    config = with_train(collapsing, stop_on_collapse=True)
    with pytest.raises(CollapseError, match=r"The last checkpoint, of step \d+, is healthy") as e:
        stn_jax.train(config, tmp_path)
    with pytest.raises(CollapseError, match="There is no checkpoint yet: change the settings"):
        stn_jax.train(with_train(config, checkpoint_every=1000), tmp_path / "none")
    step, _, _ = restore_last(tmp_path)
    assert f"of step {step}," in str(e.value)
    watch = CollapseWatch(patience=1)
    health = [
        watch.check(line["step"], {name.removeprefix("train/"): v for name, v in line.items()})
        for line in metrics(tmp_path)
        if "train/loss" in line
    ]
    # The checkpoint is from the step before the first that looks collapsed.
    first_bad = next(i for i, problem in enumerate(health, start=1) if problem)
    assert step == first_bad - 1


def test_an_interruption_during_a_collapse_saves_nothing_of_it(
    collapsing, tmp_path, monkeypatch, capsys
):
    config = with_train(collapsing, stop_on_collapse=True, collapse_steps=6)
    with pytest.raises(CollapseError) as whole:
        stn_jax.train(config, tmp_path / "whole")
    healthy, _, _ = restore_last(tmp_path / "whole")

    def stop_there(trainer, step, window):
        log(trainer, step, window)
        if trainer._collapse.failing and not asked:
            asked.append(step)
            os.kill(os.getpid(), signal.SIGTERM)

    log, asked = loop.Trainer._log, []
    with monkeypatch.context() as patch:
        patch.setattr(loop.Trainer, "_log", stop_there)
        outcome = stn_jax.train(config, tmp_path / "parts")
        asked.clear()
        unsaved = stn_jax.train(with_train(config, checkpoint_every=1000), tmp_path / "none")
    assert (outcome.finished, outcome.step) == (False, healthy)
    assert (unsaved.finished, unsaved.step) == (False, 0)
    said = re.findall(r"looks collapsed and is not saved; (.*)\n", capsys.readouterr().out)
    assert said == [f"the last checkpoint is {healthy}'s", "there is no checkpoint yet"]
    with pytest.raises(CollapseError) as parts:
        stn_jax.train(config, tmp_path / "parts")
    assert str(parts.value) == str(whole.value)
