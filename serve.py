"""Serves a trained model as a web page and an interface for programs."""

import dataclasses
import sys
from pathlib import Path

import tyro

from stn_jax import cli
from stn_jax.web.limits import Limits


@dataclasses.dataclass(frozen=True)
class Command:
    """Serve a trained model as a web page, and as an interface for programs (/api/v1)."""

    workdir: Path
    """Folder of the run."""
    host: str = "127.0.0.1"
    """Address to listen on; other machines reach the page by 0.0.0.0, and must show a token."""
    port: int = 8000
    """Port to listen on; 0: any that is free."""
    token: str | None = None
    """Secret that everybody must show; also taken from STN_JAX_TOKEN, which `ps` does not show."""
    insecure_no_token: bool = False
    """Let everybody who can reach the address use the page."""
    public_url: str | None = None
    """Where people reach the page, when a proxy stands in front: https://photos.example.org."""
    examples: Path | None = None
    """Folder of photos that visitors can try, without sub-folders; by default generated ones, for
    a model of such."""
    limits: Limits = dataclasses.field(default_factory=Limits)


def main() -> int:
    """Reads the command line and serves."""
    command = tyro.cli(Command)
    from stn_jax.web.command import run

    run(**{field.name: getattr(command, field.name) for field in dataclasses.fields(command)})
    return 0


if __name__ == "__main__":
    sys.exit(cli.run(main))
