"""The Makefile says what it can do, and removes nothing that it did not make."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).parents[1] / "Makefile"


def make(target: str, folder: Path) -> str:
    if shutil.which("make") is None:
        pytest.skip("no make on this machine")
    command = ["make", "--silent", "--file", str(MAKEFILE), target]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def test_help_says_what_every_target_does():
    declared = re.search(r"^\.PHONY: (.+)$", MAKEFILE.read_text(), re.MULTILINE)
    said = make("help", MAKEFILE.parent)
    for target in set(declared[1].split()) - {"help"}:
        assert re.search(rf"^make {target} +\w", said, re.MULTILINE), target


def test_clean_leaves_the_user_s_runs(tmp_path):
    for name in ("derm", "demo", "demo-without-zoom", "demo-centre"):
        (tmp_path / "runs" / name / "checkpoints").mkdir(parents=True)
    (tmp_path / ".venv").mkdir()
    make("clean", tmp_path)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["derm"]
    assert not (tmp_path / ".venv").exists()
