import codecs
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import stn_jax.config
from stn_jax.config import ConfigError

CALLED = "from stn_jax.config import Config\n\ndef get_config():\n    return Config(name='ä')\n"
"""A configuration whose name is no ASCII."""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", r"must define get_config\(\)"),
        ("get_config = 3\n", r"must define get_config\(\)"),
        ("def get_config():\n    return {}\n", r"get_config\(\) returned dict, not Config"),
        ("def get_config(:\n", "line 1: SyntaxError"),
        ("# coding: no-such\n", r"broken\.py: SyntaxError: unknown encoding"),
        ("\n\nimport no_such_module\n", "line 3: ModuleNotFoundError: No module named"),
        ("def get_config():\n    return {}['a']\n", "line 2: KeyError: 'a'"),
        (
            "from stn_jax.config import *\n\ndef get_config():\n"
            "    return Config(train=TrainConfig(steps=0))\n",
            "line 4: --train.steps 0 must be at least 1",
        ),
    ],
)
def test_configuration_file_that_cannot_be_used(tmp_path, text, message):
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        stn_jax.config.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        codecs.BOM_UTF8 + CALLED.encode(),
        b"# coding: latin-1\n" + CALLED.encode("latin-1"),
    ],
)
def test_a_configuration_is_read_as_any_file_of_python_is(tmp_path, text):
    (tmp_path / "own.py").write_bytes(text)
    assert stn_jax.config.load(tmp_path / "own.py").name == "ä"


def test_a_configuration_is_read_whatever_the_locale(tmp_path):
    (tmp_path / "own.py").write_text(CALLED, encoding="utf-8")
    code = "import sys, stn_jax.config as c; print(ascii(c.load(sys.argv[1]).name))"
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    read = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "own.py")],
        capture_output=True,
        text=True,
        env=os.environ | plain,
    )
    assert read.stdout == "'\\xe4'\n", read.stderr


@pytest.mark.parametrize("name", ["own.py", "json.py"])
def test_a_configuration_may_define_dataclasses_with_postponed_annotations(tmp_path, name):
    (tmp_path / name).write_text(
        "from __future__ import annotations\n"
        "import dataclasses\nimport typing\nfrom stn_jax.config import Config\n\n"
        "@dataclasses.dataclass\nclass Mine:\n    count: int = 3\n\n"
        "def get_config():\n"
        "    assert typing.get_type_hints(Mine) == {'count': int}\n"
        "    return Config(name=str(Mine()))\n"
    )
    assert stn_jax.config.load(tmp_path / name).name == "Mine(count=3)"
    assert sys.modules["json"] is json


def test_missing_configuration_file_lists_the_ones_there_are(monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])
    with pytest.raises(ConfigError, match=r"no such file.*configs/demo\.py, configs/derm\.py"):
        stn_jax.config.load("configs/dern.py")
