"""A run's folder: what it was started with, and who may write to it.

`config.json` holds every option, `run.json` what the options do not say (classes, data fingerprint,
versions), `import_report.json` the photos taken and refused, `metrics.jsonl` one object a line.
`checkpoints/` and `best/` belong to checkpoint.py.
"""

import contextlib
import dataclasses
import fcntl
import importlib.metadata
import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import stn_jax.config
from stn_jax.config import Config
from stn_jax.training.errors import WorkdirError

_SAFE_TO_CHANGE = {
    "name",
    "data.root",  # the fingerprint says whether the photos are the same
    "data.default_root",
    "data.cache_dir",
    "data.cache",
    "data.max_refused",
    "train.steps",
    "train.eval_every",
    "train.checkpoint_every",
    "train.keep_checkpoints",
    "train.log_every",
    "train.figure_every",
    "train.patience",
    "train.min_change",
    "train.remat",
    "train.deterministic",
    "train.stop_on_collapse",
    "train.collapse_steps",
}

_NETWORK = ("stn_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint")
_PHOTOS = ("numpy", "pillow", "grain")  # that shuffles them


@dataclasses.dataclass(frozen=True)
class Run:
    """What a run was started with.

    Attributes:
      config: every option, the data source resolved.
      classes: names, in the order of the logits.
      mean_color: mean of the training photos, RGB, 0 to 255.
      data_name: name of the folder, or SYNTHETIC.
      data_fingerprint: of the photos and the options that shaped them, hexadecimal.
      versions: of the packages that the numbers depend on.
      git_revision: of the code, where it ran from a checkout; `+` marks uncommitted changes.
      learned_before: what its first weights had learned from, if not drawn: `data_name` of the run
        that it was started from, after those which that one was.
    """

    config: Config
    classes: tuple[str, ...]
    mean_color: tuple[float, ...]
    data_name: str
    data_fingerprint: str
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    git_revision: str | None = None
    learned_before: tuple[str, ...] = ()

    @property
    def synthetic(self) -> bool:
        """Whether generated photos are behind every number of this run."""
        return self.data_name == "SYNTHETIC"


def command_for(workdir: str | Path, *words: str) -> str:
    """A command to paste into a shell: a program with its options, and this workdir."""
    return shlex.join(["python", *words, "--workdir", str(workdir)])


def read_run(workdir: str | Path) -> Run:
    """Reads what `start_or_resume` wrote.

    Raises:
      WorkdirError: when there is no run in the folder, or its files are damaged.
    """
    workdir = Path(workdir)
    if not (workdir / "config.json").is_file():
        raise WorkdirError(
            f"{workdir} holds no run (no config.json in it). "
            f"Train one: {command_for(workdir, 'train.py', '--config', 'configs/derm.py')}"
        )
    try:
        config = stn_jax.config.from_json((workdir / "config.json").read_text())
        facts = json.loads((workdir / "run.json").read_text())
        facts["classes"] = tuple(facts["classes"])
        facts["mean_color"] = tuple(facts["mean_color"])
        facts["learned_before"] = tuple(facts.get("learned_before", ()))
        return Run(config=config, **facts)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorkdirError(
            f"{workdir}: config.json or run.json is damaged, or of another version: {error}"
        ) from error


def start_or_resume(workdir: Path, run: Run) -> list[str]:
    """Writes a new run's description, or checks that the one there is the same.

    Changes that leave the mathematics alone (more steps, how often to save) are taken over; before
    the first checkpoint, when there is nothing to lose, all are. What the first weights had learned
    from is looked up then, and kept: the run that they come from may be gone when this one resumes.

    Returns:
      What changed since the run was started, one sentence each.

    Raises:
      WorkdirError: listing the differences, when they make it another run; when it has already
        done more steps than are asked for; or when there is no run to start from.
    """
    if not has_checkpoint(workdir):
        learned = learned_by(run.config.train.init_from)
        _write(workdir, dataclasses.replace(run, learned_before=learned))
        return []
    if not (workdir / "config.json").exists():
        raise WorkdirError(
            f"{workdir} has checkpoints but no config.json, so nothing says of which run they are: "
            "bring it back, or choose another --workdir"
        )
    before = read_run(workdir)
    changed = stn_jax.config.differences(before.config, run.config)
    safe = _SAFE_TO_CHANGE - ({"train.steps"} if run.config.train.schedule == "cosine" else set())
    refused = {name: values for name, values in changed.items() if name not in safe}
    for name in ("classes", "data_fingerprint"):
        if getattr(before, name) != getattr(run, name):
            refused[name] = (getattr(before, name), getattr(run, name))
    if refused:
        lines = "\n".join(f"  {name}: {old} -> {new}" for name, (old, new) in refused.items())
        raise WorkdirError(
            f"{workdir} holds a run with other settings:\n{lines}\n"
            "Resume it with its own settings, or start another with --workdir"
        )
    done = max(steps_in(workdir / "checkpoints"), default=0)
    if run.config.train.steps < done:
        raise WorkdirError(
            f"{workdir} has done {done} steps, more than --train.steps {run.config.train.steps}: "
            f"ask for {done} or more, or start another run with --workdir"
        )
    _write(workdir, dataclasses.replace(run, learned_before=before.learned_before))
    # Of a package that one of them does not name, it is not known whether it changed.
    for name in before.versions.keys() & run.versions.keys():
        changed[f"version of {name}"] = (before.versions[name], run.versions[name])
    changed["git revision"] = (before.git_revision, run.git_revision)
    return [
        f"{name} is now {new} (was {old})" for name, (old, new) in changed.items() if old != new
    ]


def learned_by(other: str | None) -> tuple[str, ...]:
    """What the weights of another run have learned from; nothing where there is none.

    Raises:
      WorkdirError: when there is no such run.
    """
    if other is None:
        return ()
    try:
        run = read_run(other)
    except WorkdirError as error:
        raise WorkdirError(f"--train.init-from: {error}") from error
    return (*run.learned_before, run.data_name)


@contextlib.contextmanager
def locked(workdir: Path) -> Iterator[None]:
    """Keeps other trainers out of the folder; the system lifts the lock if this one dies.

    Raises:
      WorkdirError: when another process trains in it, or it cannot be made or used.
    """
    if "[" in str(workdir.resolve()):
        # Orbax looks for its own files by a pattern, in which the path would be one, too.
        raise WorkdirError(f"--workdir {workdir} cannot be used: its path must not hold a [")
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        file = open(workdir / ".lock", "a+")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise WorkdirError(f"--workdir {workdir} cannot be used: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise WorkdirError(
                f"{workdir}: another training process (pid {file.read().strip() or 'unknown'}) "
                "is writing to this workdir. Wait for it, stop it, or choose another --workdir"
            ) from None
        except OSError as error:  # as of Lustre mounted without them
            raise WorkdirError(
                f"--workdir {workdir} cannot be used: its file system has no locks "
                f"({error.strerror}), without which two trainings could write to one folder"
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def current_versions() -> dict[str, str]:
    """Versions of the packages that the numbers depend on."""
    found = {}
    for name in (*_NETWORK, *_PHOTOS):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def current_revision() -> str | None:
    """Commit of the running code, or None outside a git checkout."""
    root = Path(__file__).parent
    try:
        revision = _git(root, "rev-parse", "HEAD")
        return revision + ("+" if _git(root, "status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def append_metrics(workdir: Path, values: dict[str, Any]) -> None:
    """Adds one line to metrics.jsonl."""
    with open(workdir / "metrics.jsonl", "a") as file:
        file.write(json.dumps(values) + "\n")


def drop_metrics_after(workdir: Path, step: int, *, evaluated: int) -> None:
    """Takes out what a killed run wrote after the checkpoint from which it goes on.

    Args:
      workdir: the run's folder.
      step: the checkpoint's.
      evaluated: step of the last evaluation that counts; later ones are made again.
    """
    path = workdir / "metrics.jsonl"
    if not path.exists():
        return
    kept = [
        values
        for values in read_metrics(path)
        if values["step"] <= (evaluated if "val/loss" in values else step)
    ]
    text = "".join(json.dumps(values) + "\n" for values in kept)
    if text.encode() != path.read_bytes():
        write_atomically(path, text)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Reads metrics.jsonl, except for lines that a power cut or a full disk left damaged."""
    found = []
    for line in path.read_text(errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            values = json.loads(line)
            if isinstance(values, dict) and isinstance(values.get("step"), int):
                found.append(values)
    return found


def write_atomically(path: Path, text: str) -> None:
    """Replaces a file in one move: a reader sees the old text or the new, never half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.replace(path)


def steps_in(folder: Path) -> set[int]:
    """Steps of the checkpoints of a folder, which need not exist."""
    # Beside 200 there may be 400.orbax-checkpoint-tmp, of a save that was killed.
    return {int(path.name) for path in folder.glob("*") if path.name.isdecimal()}


def has_checkpoint(workdir: Path) -> bool:
    """Tells whether a run has saved anything, sound or not."""
    return any(steps_in(workdir / name) for name in ("checkpoints", "best"))


def _write(workdir: Path, run: Run) -> None:
    workdir.mkdir(parents=True, exist_ok=True)
    facts = dataclasses.asdict(run)
    del facts["config"]
    write_atomically(workdir / "run.json", json.dumps(facts, indent=2) + "\n")
    # Last, because its presence is what makes the folder a run.
    write_atomically(workdir / "config.json", stn_jax.config.to_json(run.config))


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
