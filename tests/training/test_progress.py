"""Early stopping."""

import math

import pytest
from tiny_runs import metrics, with_train

import stn_jax
from stn_jax.training.checkpoint import restore_best, restore_last
from stn_jax.training.progress import Progress

pytestmark = pytest.mark.usefixtures("quick_compilation")


def test_the_best_is_remembered():
    progress = Progress()
    assert progress.record(10, 0.7, min_change=0.0)
    assert not progress.record(20, 0.7, min_change=0.0)
    assert not progress.record(30, 0.8, min_change=0.0)
    assert (progress.best_loss, progress.best_step, progress.fruitless) == (0.7, 10, 2)
    assert progress.record(40, 0.6, min_change=0.0)
    assert (progress.best_step, progress.fruitless, progress.evaluated) == (40, 0, 40)


def test_a_loss_that_is_no_number_is_never_the_best():
    progress = Progress()
    assert not progress.record(1, math.nan, min_change=0.0)
    assert progress.record(2, 0.5, min_change=0.0)
    assert (progress.best_loss, progress.best_step, progress.fruitless) == (0.5, 2, 0)


@pytest.mark.parametrize(("loss", "better"), [(0.61, False), (0.59, True)])
def test_small_changes_do_not_count(loss, better):
    progress = Progress(best_loss=0.7)
    assert progress.record(10, loss, min_change=0.1) is better


def test_patience_ends_the_run_and_the_best_is_kept(config, tmp_path, capsys):
    # No fall of the loss is large enough, so the first evaluation stays the best.
    config = with_train(config, eval_every=3, patience=2, min_change=100.0, checkpoint_every=50)
    outcome = stn_jax.train(config, tmp_path)
    assert (outcome.step, outcome.finished) == (9, True)
    assert "no better validation loss in 2 evaluations; the best is from step 3" in (
        capsys.readouterr().out
    )
    assert [line["step"] for line in metrics(tmp_path) if "val/loss" in line] == [3, 6, 9]
    assert restore_last(tmp_path)[2]["best_step"] == 3
    variables, step, by_validation = restore_best(tmp_path)
    assert step == 3
    assert by_validation
    assert set(variables) == {"params"}, "no moments"
    weights = sum(p.stat().st_size for p in (tmp_path / "best").rglob("*") if p.is_file())
    whole = sum(p.stat().st_size for p in (tmp_path / "checkpoints").rglob("*") if p.is_file())
    assert weights < 0.7 * whole
    # Started again, it is still finished, and a longer patience takes it further.
    assert stn_jax.train(config, tmp_path).step == 9
    assert stn_jax.train(with_train(config, patience=3), tmp_path).step == 12


def test_the_best_evaluation_made_up_for_is_taken_in_once():
    progress = Progress(best_loss=0.7, best_step=5, fruitless=2, evaluated=10)
    progress.catch_up(5, 0.7)
    assert progress == Progress(best_loss=0.7, best_step=5, fruitless=2, evaluated=10)
    progress.catch_up(13, 0.6)
    assert progress == Progress(best_loss=0.6, best_step=13, fruitless=0, evaluated=13)
