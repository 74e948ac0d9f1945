"""The command line of train.py: what it accepts, what it refuses, and in which words."""

import subprocess
import sys
from pathlib import Path

import pytest

import stn_jax.config
from stn_jax import cli
from stn_jax.training import command, loop

ROOT = Path(__file__).parents[1]
DERM = str(ROOT / "configs" / "derm.py")
DIGITS = str(ROOT / "configs" / "distorted_mnist.py")


def parse(*options: str, config: str = DERM) -> stn_jax.Config:
    return command.parse(["--config", config, *options]).options


def run(monkeypatch, *arguments: str) -> int:
    """Calls the program in this process; returns the exit status."""
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
    try:
        return cli.run(command.main)
    except SystemExit as leave:  # how tyro ends
        return leave.code


def test_options_of_the_design_parse():
    config = parse(
        *("--train.steps", "7", "--train.batch-size", "6", "--train.checkpoint-every", "2"),
        *("--train.eval-every", "3", "--train.precision", "bfloat16"),
        *("--data.root", "photos", "--data.source", "folder", "--data.photo-size", "210", "315"),
        *("--model.crop-size", "70", "105", "--model.transform", "attention"),
        *("--model.view-shrink", "3"),
    )
    assert config.train.steps == 7
    assert config.train.batch_size == 6
    assert (config.train.checkpoint_every, config.train.eval_every) == (2, 3)
    assert config.train.precision == "bfloat16"
    assert (config.data.root, config.data.source) == ("photos", "folder")
    assert config.data.photo_size == (210, 315)
    assert config.model.crop_size == (70, 105)
    assert config.model.transform == "attention"


def test_what_is_not_named_stays_as_in_the_file():
    assert parse("--train.steps", "7").model == stn_jax.config.load(DERM).model


@pytest.mark.parametrize("name", ["--task", "--data.mnist.task"])
def test_other_options_follow_from_what_the_file_asks_for(name):
    config = parse(name, "TC", "--train.steps", "7", config=DIGITS)
    assert config.data.mnist.task == "TC"
    assert config.data.photo_size == (60, 60)
    assert config.train.steps == 7
    wide = parse(name, "TC", "--model.transform", "identity", config=DIGITS)
    assert wide.model.transform == "identity"
    assert wide.model.crop_size == (60, 60)
    dense = parse(name, "TC", "--model.head", "dense", config=DIGITS)
    assert (dense.model.head, dense.model.oversample) == ("dense", 2)
    own = parse(name, "TC", "--model.crop-size", "20", "20", config=DIGITS)
    assert own.model.crop_size == (20, 20)


def test_help_says_what_the_file_asks_for(monkeypatch, capsys):
    assert run(monkeypatch, "--config", DIGITS, "--help") == 0
    assert "--task" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("signature", "listed"), [("", False), ("wide: bool = False, *, deep_ones: int = 3", True)]
)
def test_help_lists_what_a_file_takes_though_it_documents_nothing(
    monkeypatch, capsys, tmp_path, signature, listed
):
    path = tmp_path / "own.py"
    path.write_text(
        f"import stn_jax\n\ndef get_config({signature}):\n    return stn_jax.Config()\n"
    )
    assert run(monkeypatch, "--config", str(path), "--help") == 0
    text = capsys.readouterr().out
    assert ("--deep-ones INT" in text) == listed
    assert "own.py: None" not in text
    assert "Batches to train on. (default: 10000)" in text


def test_help_lists_every_option_with_its_meaning(monkeypatch, capsys):
    assert run(monkeypatch, "--config", DERM, "--help") == 0
    text = capsys.readouterr().out
    for part in ("data", "data.augment", "data.synthetic", "model", "train", "train.zoom-schedule"):
        values = stn_jax.config.load(DERM)
        for name in part.split("."):
            values = getattr(values, name.replace("-", "_"))
        for option in vars(values):
            assert f"--{part}.{option.replace('_', '-')}" in text or f"{option} options" in text
    assert "Batches to train on. (default: 10000)" in text
    assert "Height and width to which every photo is brought" in text


def test_help_needs_no_configuration(monkeypatch, capsys):
    assert run(monkeypatch, "--help") == 0
    text = capsys.readouterr().out
    assert "--config {None}|PATH" in text
    assert "\nEvery value of the configuration file can be changed here." in text


def test_help_does_not_wait_for_jax():
    code = (
        "import sys; sys.argv = ['train.py', '--config', sys.argv[1], '--train.steps', '3'];"
        "from stn_jax import cli; from stn_jax.training import command;"
        "command.parse(sys.argv[1:]); sys.exit('jax' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, DERM], cwd=ROOT, check=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "configs/dern.py"], "--config configs/dern.py: no such file"),
        (["--config", DERM, "--train.stepz", "3"], "--train.steps INT"),
        (["--config", DERM, "--model.transform", "afine"], "'affine'"),
        (["--config", DERM, "--train.steps", "many"], "many"),
        (["--config", DERM, "--data.photo-size", "631", "945"], "not divisible"),
        (["--config", DERM, "--data.photo-size", "630"], "--data.photo-size"),
        (["--config", DIGITS, "--task", "RST"], "'RTS'"),
        (["--config", DIGITS, "--model.transform", "afine"], "'affine'"),
        (["--config", DERM, "--task", "RTS"], "--task"),
        (["--config", DERM, "--train.batch-size", "0"], "--train.batch-size 0 must be at least 1"),
        (["--config", DERM, "--cluster.processes", "2"], "go together"),
        (["--config", DERM, "--data.root", ""], "--data.root is empty: name a folder"),
        (["--config", DERM, "--train.init-from", ""], "--train.init-from is empty"),
        (["--config", DERM, "--workdir", ""], "--workdir is empty: name a folder, or leave it out"),
        (["--config", DERM, "--workdir="], "--workdir is empty"),
        (["--config", DERM, "--name", ""], "--name is empty"),
        (["--config", DERM, "stray"], "stray"),
        (["--config"], "--config"),
        (["--train.steps", "3"], "--config"),
        ([], "--config"),
    ],
)
def test_bad_command_lines_are_explained(monkeypatch, capsys, arguments, message):
    assert run(monkeypatch, *arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err + captured.out
    assert "Traceback" not in captured.err + captured.out


@pytest.mark.parametrize(
    ("step", "said"),
    [(0, "stopped before the first checkpoint"), (7, "stopped and saved at step 7")],
)
def test_a_run_that_was_stopped_says_what_it_kept(monkeypatch, capsys, tmp_path, step, said):
    outcome = loop.Outcome(step=step, finished=False, workdir=tmp_path)
    monkeypatch.setattr(loop, "train", lambda config, workdir: outcome)
    assert run(monkeypatch, "--config", DERM) == 0
    assert capsys.readouterr().out.startswith(f"{said}; go on with the same command:\n")


SMALL = (
    *("--data.source", "synthetic", "--data.photo-size", "24", "36", "--model.crop-size", "16"),
    *("24", "--model.view-shrink", "3", "--data.synthetic.train", "8", "--data.synthetic.val", "4"),
    *("--data.synthetic.test", "4", "--train.batch-size", "4", "--train.steps", "1"),
)


def test_batch_larger_than_the_data(monkeypatch, capsys, tmp_path):
    options = [*SMALL, "--data.cache-dir", str(tmp_path / "cache"), "--train.batch-size", "9"]
    assert run(monkeypatch, "--config", DERM, "--workdir", str(tmp_path / "run"), *options) == 2
    assert "--train.batch-size 9 is larger than the training split of 8" in capsys.readouterr().err


def test_named_folder_that_is_absent(monkeypatch, capsys, tmp_path):
    arguments = ["--config", DERM, "--workdir", str(tmp_path / "run"), "--data.root", "no/such"]
    assert run(monkeypatch, *arguments) == 2
    assert "--data.root no/such: no such folder" in capsys.readouterr().err


def test_workdir_that_cannot_be_made(monkeypatch, capsys, tmp_path):
    (tmp_path / "file").write_text("")
    workdir = str(tmp_path / "file" / "run")
    assert run(monkeypatch, "--config", DERM, "--workdir", workdir) == 2
    assert f"--workdir {workdir}" in capsys.readouterr().err


def test_the_program_itself_gives_the_status():
    finished = subprocess.run(
        [sys.executable, "train.py", "--config", "no.py"], cwd=ROOT, capture_output=True, text=True
    )
    assert finished.returncode == 2
    assert finished.stderr.startswith("error: --config no.py: no such file")
    assert finished.stdout == ""
