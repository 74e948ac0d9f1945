"""Trains a model, or goes on with the run in the workdir."""

import argparse
import dataclasses
import shlex
import sys
from pathlib import Path
from typing import Annotated

import tyro

import stn_jax
import stn_jax.cli
import stn_jax.config


@dataclasses.dataclass(frozen=True)
class Command:
    """Train a model, or go on with the run in the workdir.

    Every value of the configuration file can be changed here.
    """

    config: Path
    """Configuration file, such as configs/derm.py."""
    workdir: Path | None
    """Folder of the run; runs/NAME of the configuration when not given."""
    options: Annotated[stn_jax.Config, tyro.conf.arg(name="")]


def main() -> int:
    """Reads the command line and trains."""
    chosen = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    chosen.add_argument("--config", type=Path)
    path = chosen.parse_known_args()[0].config
    options = stn_jax.config.load(path) if path else stn_jax.Config()
    default = Command(config=path or tyro.MISSING, workdir=None, options=options)
    command = tyro.cli(Command, default=default)
    outcome = stn_jax.train(command.options, command.workdir or Path("runs") / command.options.name)
    if outcome.finished:
        print(f"finished after {outcome.step} steps")
        print(f"evaluate: python evaluate.py --workdir {outcome.workdir}")
    else:
        print(f"stopped and saved at step {outcome.step}; go on with the same command:")
        print(f"  python {shlex.join(sys.argv)}")
    return 0


if __name__ == "__main__":
    sys.exit(stn_jax.cli.run(main))
