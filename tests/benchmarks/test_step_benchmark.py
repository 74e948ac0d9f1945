"""The comparison of steps: what it counts, and that contestants take turns in processes."""

import dataclasses
import json
import types

import pytest

from benchmarks import step, step_worker
from benchmarks.step_worker import Turn


def turns(*seconds, cpu=1.0):
    return [Turn(each, cpu, 0.0) for each in seconds]


def test_a_ratio_is_of_turns_of_the_same_round():
    # The machine was ten times as slow in the second round, and hardly ever theirs.
    assert step.times_as_long(turns(2, 30, 3), turns(1, 10, 1), "seconds") == 3
    assert step.times_as_long(turns(2, cpu=4.0), turns(1), "cpu_seconds") == 4


def test_a_scene_keeps_the_results_of_others(tmp_path):
    output = tmp_path / "step.json"
    step.record(output, "one", {"rows": [1]})
    step.record(output, "two", {"rows": [2]})
    step.record(output, "one", {"rows": [3]})
    assert json.loads(output.read_text()) == {"one": {"rows": [3]}, "two": {"rows": [2]}}


@pytest.mark.parametrize("name", step.SCENES)
def test_scenes_are_the_papers_network(name):
    model = step.SCENES[name].model
    paper = step.get_config()
    assert dataclasses.replace(model, crop_size=paper.model.crop_size) == paper.model
    height, width = step.SCENES[name].data.photo_size
    assert (height // 3, width // 3) == model.crop_size


def test_a_batch_is_of_the_scenes_size():
    batch = step_worker.make_batch(step.SCENES["third-16"])
    assert batch["photo"].shape == (16, 210, 315, 3)
    assert batch["photo"].dtype == "uint8"
    assert set(batch["label"]) == {0, 1}


def test_the_first_step_of_a_turn_does_not_count(monkeypatch):
    now, durations = [0.0], iter([10.0, 1.0, 2.0, 3.0])

    def train():
        now[0] += next(durations)
        return now[0]

    clock = types.SimpleNamespace(perf_counter=lambda: now[0], process_time=lambda: 2 * now[0])
    monkeypatch.setattr(step_worker, "time", clock)
    monkeypatch.setattr(step_worker, "_worker", types.SimpleNamespace(step=train))
    assert step_worker.turn() == Turn(seconds=2.0, cpu_seconds=4.0, loss=16.0)


@pytest.mark.slow
def test_contestants_train_in_turns(tiny_config, capsys):
    names = [step.OURS]
    try:
        import torch  # noqa: F401
    except ImportError:
        pass
    else:
        names.append("torch eager channels_last")
    told = []
    rows = step.compare(
        tiny_config, names, rounds=2, clock="seconds", on_round=lambda rows: told.append(rows)
    )
    assert [row["contestant"] for row in rows] == names
    assert len(told) == 2
    assert len({row["weights"] for row in rows}) == 1
    for row in rows:
        assert len(row["losses"]) == 3
        assert row["losses"][2] < row["losses"][0]
        assert row["megabytes"] > 0
        assert row["seconds"] > 0
    assert rows[0]["times_as_long"] == 1
    step.print_table("tiny", rows)
    assert "ours" in capsys.readouterr().out


def test_torch_is_asked_for_where_it_is_not(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["step"])
    monkeypatch.setattr(step, "find_spec", lambda name: None)
    with pytest.raises(SystemExit) as stop:
        step.main()
    assert stop.value.code == 2
    assert "pip install torch" in capsys.readouterr().err
