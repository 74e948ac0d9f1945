"""The command line of train.py."""

import argparse
import contextlib
import dataclasses
import inspect
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import tyro

import stn_jax.config
from stn_jax.config import Config, ConfigError
from stn_jax.config.checks.names import refuse_unnamed


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Processes that train together; not needed under srun and Kubernetes, which say it."""

    coordinator: str | None = None
    """HOST:PORT at which process 0 can be reached."""
    processes: int | None = None
    """How many processes there are."""
    process: int | None = None
    """Which of them this is, from 0."""


@dataclasses.dataclass(frozen=True)
class Command:
    """Train a model, or go on with the run in the workdir.

    Every value of the configuration file can be changed here.
    """

    config: Path | None
    """Configuration file, such as configs/derm.py; it must be named."""
    workdir: Path | None
    """Folder of the run; runs/NAME of the configuration when not given."""
    cluster: Cluster
    options: Annotated[Config, tyro.conf.arg(name="")]


def main() -> int:
    """Reads the command line and trains."""
    command = parse(sys.argv[1:])
    # Only now: these take seconds, and a mistyped option should not wait for them.
    from stn_jax.training.devices import is_main, join_cluster, use_compilation_cache
    from stn_jax.training.loop import train
    from stn_jax.training.workdir import command_for

    join_cluster(**dataclasses.asdict(command.cluster))
    use_compilation_cache()
    outcome = train(command.options, command.workdir or Path("runs") / command.options.name)
    if not is_main():
        return 0
    if outcome.finished:
        print(f"finished after {outcome.step} steps")
        print(f"evaluate: {command_for(outcome.workdir, 'evaluate.py')}")
    else:
        at = f"and saved at step {outcome.step}" if outcome.step else "before the first checkpoint"
        print(f"stopped {at}; go on with the same command:")
        print(f"  python {shlex.join(sys.argv)}")
    return 0


def _print_own_help(get_config: Callable[..., Config], path: Path) -> None:
    """Prints what a configuration file is about, and the options that are its own."""
    with contextlib.suppress(SystemExit):
        tyro.cli(get_config, args=["--help"], prog=shlex.join(["train.py", "--config", str(path)]))


def parse(arguments: list[str]) -> Command:
    """Reads the configuration file that is named, and the options that change it.

    Raises:
      ConfigError: when the file or a value cannot be used.
      SystemExit: with status 2 for unknown options, with status 0 after --help.
    """
    chosen = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    chosen.add_argument("--config", type=Path, nargs="?")
    chosen.add_argument("--workdir", nargs="?")
    named = chosen.parse_known_args(arguments)[0]
    # As a path, it would be the current folder.
    refuse_unnamed("--workdir", named.workdir)
    path = named.config
    options, others, about = Config(), arguments, ""
    if path is not None:
        get_config = stn_jax.config.read_file(path)
        own = bool(inspect.signature(get_config).parameters)
        if own and {"-h", "--help"} & set(arguments):
            _print_own_help(get_config, path)
        # First what the file asks for, because other values follow from it.
        options, others = tyro.cli(
            get_config, args=arguments, prog="train.py", add_help=False, return_unknown_args=True
        )
        if not own and (documentation := inspect.getdoc(get_config)):
            about = f"\n\n{path}: {documentation}"
    command = tyro.cli(
        Command,
        default=Command(config=path, workdir=None, cluster=Cluster(), options=options),
        args=others,
        prog="train.py",
        description=f"{inspect.getdoc(Command)}{about}",
    )
    if path is None:
        known = ", ".join(stn_jax.config.known_files())
        raise ConfigError(f"name a configuration with --config FILE. Known ones: {known}")
    return command
