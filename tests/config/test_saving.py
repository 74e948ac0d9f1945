import dataclasses
import json
from pathlib import Path

import jaxtyping
import pytest

import stn_jax.config
from stn_jax.config import Config, ConfigError, TrainConfig

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("[!_]*.py"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_json_keeps_every_option_of_every_configuration(path):
    config = stn_jax.config.load(path)
    assert stn_jax.config.from_json(stn_jax.config.to_json(config)) == config
    assert hash(config) == hash(stn_jax.config.load(path))


def test_json_of_something_else_is_refused():
    with pytest.raises(ConfigError, match=r"unknown options train\.stepz: written by another"):
        stn_jax.config.from_json('{"train": {"stepz": 3}}')
    with pytest.raises(ConfigError, match="the configuration must be a JSON object"):
        stn_jax.config.from_json("[]")
    with pytest.raises(ConfigError, match=r"data\.mnist must be a JSON object"):
        stn_jax.config.from_json('{"data": {"mnist": 3}}')
    with pytest.raises(ConfigError, match="not a configuration"):
        stn_jax.config.from_json('{"train": ')


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"augment": {"rotate": "a"}}, "--data.augment.rotate 'a' must be float"),
        ({"scin": {"conditions": 3}}, "--data.scin.conditions 3 must be tuple"),
        ({"folds": "5"}, "--data.folds '5' must be int"),
        ({"max_megapixels": None}, "--data.max-megapixels None must be float"),
    ],
)
def test_json_with_values_of_another_type_is_refused_by_the_option(monkeypatch, data, message):
    # Its check of the parts is added by these tests alone.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ConfigError, match=message):
        stn_jax.config.from_json(json.dumps({"data": data}))


def test_differences_name_the_options():
    config = Config()
    changed = dataclasses.replace(config, train=TrainConfig(steps=3, seed=1))
    assert stn_jax.config.differences(config, changed) == {
        "train.steps": (10_000, 3),
        "train.seed": (0, 1),
    }
