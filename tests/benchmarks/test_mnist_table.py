"""The table of distorted MNIST: what it counts, and that every run is a configuration."""

import json

import numpy as np
import pytest
from made_digits import idx

from benchmarks import mnist, runs
from stn_jax.evaluation.intervals import wilson


def made(task, transform, seed, wrong, digits=1000, seconds=10, head=None):
    return {
        "task": task,
        "transform": transform,
        "head": head,
        "seed": seed,
        "wrong": wrong,
        "digits": digits,
        "training_cpu_seconds": seconds,
    }


def test_brings_the_seeds_of_a_network_together():
    runs = [
        made("RTS", "identity", 0, 10),
        made("RTS", "affine", 0, 6, seconds=7),
        made("RTS", "identity", 1, 14),
        made("RTS", "affine", 1, 8, seconds=9),
    ]
    identity, affine = mnist.summarise(runs)
    assert (identity["transform"], affine["transform"]) == ("identity", "affine")
    assert identity["errors"] == pytest.approx([1.0, 1.4])
    assert identity["mean"] == pytest.approx(1.2)
    assert identity["deviation"] == pytest.approx(0.2828, abs=1e-4)
    assert (identity["wrong"], identity["digits"]) == (24, 2000)
    # Both seeds are tested on the same 1,000 digits.
    once = wilson(12, 1000)
    assert identity["interval"] == pytest.approx([100 * once.low, 100 * once.high])
    assert identity["published"] == 0.8
    assert affine["training_cpu_seconds"] == 8


def test_heads_are_told_apart(capsys):
    runs = [
        made("TC", "affine", seed, 20, head=head)
        for seed in (0, 1)
        for head in ("dense", "heatmap")
    ]
    rows = mnist.summarise(runs)
    assert [(row["head"], row["seeds"]) for row in rows] == [("dense", 2), ("heatmap", 2)]
    mnist.print_table(rows)
    assert "TC affine heatmap" in capsys.readouterr().out


def test_one_seed_has_no_deviation_and_some_errors_were_never_published():
    (row,) = mnist.summarise([made("TC", "tps", 0, 30)])
    assert row["deviation"] is None
    assert row["published"] is None


def test_prints_counts_beside_every_rate(capsys):
    mnist.print_table(mnist.summarise([made("TC", "affine", 0, 31)]))
    printed = capsys.readouterr().out
    assert "3.10" in printed
    assert "31 of 1000" in printed
    assert "1.7" in printed


@pytest.mark.parametrize("task", mnist.PUBLISHED)
@pytest.mark.parametrize("transform", ["identity", "affine"])
def test_runs_differ_by_what_was_asked_alone(task, transform):
    plain = mnist.make_config(task, transform, 0, mnist.Options(root="digits"))
    options = mnist.Options(root="digits", steps=7, batch_size=9, weight_decay=0.1)
    config = mnist.make_config(task, transform, 3, options)
    changed = {"seed": 3, "steps": 7, "batch_size": 9, "weight_decay": 0.1}
    assert config == mnist.change(plain, train=changed)
    assert config.data.root == "digits"
    assert config.data.mnist.task == task
    assert config.model.transform == transform


def test_the_head_is_that_of_the_configuration_or_as_asked():
    digits = mnist.Options(root="digits")
    dense = mnist.dataclasses.replace(digits, head="dense")
    assert mnist.make_config("TC", "affine", 0, digits).model.head == "heatmap"
    assert mnist.make_config("TC", "affine", 0, dense).model.head == "dense"
    identity = [mnist.make_config("TC", "identity", 0, options) for options in (digits, dense)]
    assert identity[0] == identity[1]


def write_digits(root, name, count):
    """The two files of a set of made digits, in MNIST's format."""
    digits = np.random.default_rng(0).integers(0, 256, (count, 28, 28), np.uint8)
    labels = np.arange(count, dtype=np.uint8) % 10
    for kind, values in (("images-idx3", digits), ("labels-idx1", labels)):
        (root / f"{name}-{kind}-ubyte").write_bytes(idx(values))


def test_a_run_is_trained_once(tmp_path, monkeypatch):
    write_digits(tmp_path, "train", 60)
    write_digits(tmp_path, "t10k", 30)
    options = mnist.Options(root=str(tmp_path), steps=1, batch_size=8)
    config = mnist.make_config("R", "affine", 0, options)
    config = mnist.change(config, data={"val_size": 20.0}, train={"warmup_steps": 0})
    first = mnist.run(config, tmp_path / "run")
    assert first["digits"] == 30
    assert 0 < first["wrong"] <= 30
    monkeypatch.setattr(runs, "train", None)
    assert mnist.run(config, tmp_path / "run") == first
    rows = mnist.summarise([made("R", "affine", 0, 1) | first])
    runs.write(tmp_path / "mnist.json", rows=rows)
    assert json.loads((tmp_path / "mnist.json").read_text())["rows"][0]["digits"] == 30
