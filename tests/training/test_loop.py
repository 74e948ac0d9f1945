"""What a run leaves behind, and that its validation is exact."""

import json

import jax
import numpy as np
import optax
import pytest
from tiny_runs import metrics, tiny_config

import stn_jax
from stn_jax.data.builder import prepare
from stn_jax.models import make_model
from stn_jax.training.checkpoint import restore_best
from stn_jax.training.workdir import read_run

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture
def workdir(tmp_path):
    stn_jax.train(tiny_config(steps=6, eval_every=3, log_every=2, figure_every=3), tmp_path)
    return tmp_path


def test_a_run_leaves_what_was_promised(workdir):
    for name in ("config.json", "run.json", "import_report.json", "metrics.jsonl"):
        assert (workdir / name).stat().st_size > 0
    for name in ("figures/filmstrip.png", "figures/filmstrip.webp", "checkpoints/6", "tensorboard"):
        assert (workdir / name).exists()
    assert read_run(workdir).synthetic
    assert json.loads((workdir / "import_report.json").read_text())["taken"] == 84
    train_steps = [line["step"] for line in metrics(workdir) if "train/loss" in line]
    # Every validation and checkpoint closes the window, so that nothing unchecked is kept.
    assert train_steps == [2, 3, 4, 6]
    assert [line["step"] for line in metrics(workdir) if "val/loss" in line] == [3, 6]
    for line in metrics(workdir):
        assert all(np.isfinite(value) for value in line.values())
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    # Never nothing: a line is written when every step is done, and a batch must then be taken.
    assert all(0 < line["train/input_stall"] < 1 for line in lines if "train/loss" in line)


def test_validation_counts_every_photo_exactly_once(workdir):
    run = read_run(workdir)
    variables, step, _ = restore_best(workdir)
    split = prepare(run.config.data).splits["val"]
    assert len(split) % run.config.train.batch_size != 0, "the last batch must be a short one"
    photos = np.stack([split[place]["photo"] for place in range(len(split))])
    model = make_model(run.config.model, num_classes=2, mean_color=run.mean_color)
    logits, _, _ = model.apply(variables, photos, train=False)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, split.labels)
    logged = next(line for line in metrics(workdir) if "val/loss" in line and line["step"] == step)
    np.testing.assert_allclose(logged["val/loss"], losses.mean(), rtol=1e-5)
    right = (logits.argmax(-1) == split.labels).mean()
    np.testing.assert_allclose(logged["val/accuracy"], right, rtol=1e-6)


def test_a_run_says_how_far_it_is_to_go(tmp_path, capsys):
    for words in ("starting a run of 2 steps in", "resuming at step 2 of 2 in"):
        stn_jax.train(tiny_config(steps=2), tmp_path)
        out = capsys.readouterr().out
        assert f"; {words} {tmp_path}\n" in out
        assert " photos of scales, vesicles\n" in out


@pytest.mark.parametrize("deterministic", [False, True])
def test_all_that_a_run_compiles_is_deterministic_or_nothing(deterministic, tmp_path, monkeypatch):
    """XLA keeps what it tried out for one function, and would use it in another."""
    given, jit = {}, jax.jit

    def recorded(function, **options):
        given[function.__qualname__] = options.get("compiler_options")
        return jit(function, **options)

    monkeypatch.setattr(jax, "jit", recorded)
    stn_jax.train(tiny_config(steps=1, deterministic=deterministic), tmp_path)
    of_run = {
        name: options for name, options in given.items() if "Trainer" in name or "_step" in name
    }
    assert len(of_run) == 4  # the first state, the step, its evaluation, and the look
    wanted = {"xla_gpu_deterministic_ops": True} if deterministic else None
    assert all(options == wanted for options in of_run.values()), of_run
