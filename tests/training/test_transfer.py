"""Starting from the weights of another run."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest
from tiny_runs import tiny_config, with_train

import stn_jax
from stn_jax.config import ConfigError
from stn_jax.data import synthetic
from stn_jax.models import make_model
from stn_jax.training.checkpoint import restore_best
from stn_jax.training.errors import WorkdirError
from stn_jax.training.state import init_state, make_optimizer
from stn_jax.training.transfer import _last_layer, start_from
from stn_jax.training.workdir import learned_by, read_run

CLASSES = synthetic.CLASSES

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("other")
    stn_jax.train(tiny_config(steps=3), workdir)
    return workdir


def fresh(num_classes: int, **model):
    config = tiny_config(model=model)
    model = make_model(config.model, num_classes=num_classes, mean_color=(0.0, 0.0, 0.0))
    optimizer = make_optimizer(config.train)
    return init_state(model, optimizer, photo_size=(24, 36), num_channels=3, seed=5)


def start(state, other, *, classes, data=None):
    return start_from(state, other, classes=classes, data=data or tiny_config().data)


def test_all_weights_are_taken(other):
    state, sentence = start(fresh(2), other, classes=CLASSES)
    expected, step, _ = restore_best(other)
    for a, b in zip(
        jax.tree.leaves(state.params), jax.tree.leaves(expected["params"]), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    assert int(state.step) == 0
    assert sentence == f"started from the weights of {other} at step {step}"


def test_other_classes_get_a_new_last_layer(other):
    begin = fresh(5)
    state, sentence = start(begin, other, classes="abcde")
    assert "the last layer is new, for the classes differ" in sentence
    taken = restore_best(other)[0]["params"]["classifier"]
    classifier = state.params["classifier"]
    np.testing.assert_array_equal(classifier["Dense_0"]["kernel"], taken["Dense_0"]["kernel"])
    np.testing.assert_array_equal(
        classifier["Dense_1"]["kernel"], begin.params["classifier"]["Dense_1"]["kernel"]
    )


def test_other_names_of_as_many_classes_get_a_new_last_layer_too(other):
    begin = fresh(2)
    state, sentence = start(begin, other, classes=("melanoma", "naevus"), data=tiny_config().data)
    assert "the last layer is new, for the classes differ" in sentence
    last = state.params["classifier"]["Dense_1"]["kernel"]
    np.testing.assert_array_equal(last, begin.params["classifier"]["Dense_1"]["kernel"])


def test_the_last_of_many_layers_is_the_one_of_the_highest_number():
    assert _last_layer({"Conv_0": {}, **{f"Dense_{i}": {} for i in range(11)}}) == "Dense_10"


def test_a_last_layer_of_another_shape_for_the_same_classes_is_another_network(tmp_path):
    stn_jax.train(tiny_config(model={"dense": ()}, steps=1), tmp_path)
    with pytest.raises(ConfigError, match="other layers: params/classifier/Dense_0"):
        start(
            fresh(2, dense=(), crop_size=(12, 16)),
            tmp_path,
            classes=CLASSES,
            data=tiny_config().data,
        )


def test_another_network_is_refused(other):
    with pytest.raises(ConfigError, match="other layers: params/classifier/Conv_1/bias"):
        start(fresh(2, channels=((4,), (9,))), other, classes=CLASSES)


def test_a_run_to_start_from_that_cannot_be_read_is_named_with_the_option(other, tmp_path):
    with pytest.raises(WorkdirError, match=r"--train.init-from: .*absent"):
        start(fresh(2), tmp_path / "absent", classes=CLASSES)
    shutil.copytree(other, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "best")
    _, sentence = start(fresh(2), tmp_path / "copy", classes=CLASSES)
    assert "at step 3, its newest, for it has no best ones" in sentence
    (tmp_path / "copy" / "checkpoints" / "3" / "SHA256SUMS").write_text("")
    with pytest.raises(WorkdirError, match=r"every checkpoint of .* is damaged"):
        start(fresh(2), tmp_path / "copy", classes=CLASSES)


def test_weights_that_may_know_the_test_are_refused(other, tmp_path):
    workdir = tmp_path / "copy"
    shutil.copytree(other, workdir)
    described = json.loads((workdir / "config.json").read_text())
    described["data"] |= {"source": "folder", "root": str(tmp_path), "folds": 4, "fold": 0}
    (workdir / "config.json").write_text(json.dumps(described))
    same = dataclasses.replace(read_run(workdir).config.data, cache_dir="elsewhere")
    start(fresh(2), workdir, classes=CLASSES, data=same)
    for changed in ({"fold": 1}, {"split_seed": 5}):
        data = dataclasses.replace(same, **changed)
        (name,) = changed
        option = f"--data.{name.replace('_', '-')}"
        with pytest.raises(ConfigError, match=rf"divided the same photos otherwise \({option}\)"):
            start(fresh(2), workdir, classes=CLASSES, data=data)
    written_otherwise = dataclasses.replace(same, fold=1, root=str(workdir / ".."))
    with pytest.raises(ConfigError, match="divided the same photos otherwise"):
        start(fresh(2), workdir, classes=CLASSES, data=written_otherwise)
    elsewhere = dataclasses.replace(same, fold=1, root=str(tmp_path / "others"))
    start(fresh(2), workdir, classes=CLASSES, data=elsewhere)


def test_weights_that_may_know_the_generated_test_are_refused(other):
    data = tiny_config().data

    def with_made(**made):
        return dataclasses.replace(data, synthetic=dataclasses.replace(data.synthetic, **made))

    # Photo 64, of their validation, and those after it would be of this run's training ...
    for changed in ({"train": 65}, {"val": 11}):
        (name,) = changed
        with pytest.raises(ConfigError, match=rf"otherwise \(--data\.synthetic\.{name}\)"):
            start(fresh(2), other, classes=CLASSES, data=with_made(**changed))
    # ... but no photo of a longer test, and none of others.
    start(fresh(2), other, classes=CLASSES, data=with_made(test=9))
    start(fresh(2), other, classes=CLASSES, data=with_made(train=65, seed=1))
    start(fresh(2), other, classes=CLASSES, data=with_made(train=65, kind="lesions"))


def test_a_run_starts_there_and_resumes_as_itself(other, tmp_path, capsys):
    shutil.copytree(other, tmp_path / "gone")
    config = with_train(tiny_config(steps=2), init_from=str(tmp_path / "gone"))
    workdir = tmp_path / "run"
    stn_jax.train(config, workdir)
    assert f"started from the weights of {tmp_path / 'gone'}" in capsys.readouterr().out
    shutil.rmtree(tmp_path / "gone")
    stn_jax.train(with_train(config, steps=4), workdir)
    printed = capsys.readouterr().out
    assert "resuming at step 2" in printed
    assert "started from" not in printed
    # Generated photos stay behind its numbers, and behind those of a run that starts from it.
    assert read_run(workdir).learned_before == ("SYNTHETIC",)
    assert learned_by(str(workdir)) == ("SYNTHETIC", "SYNTHETIC")
