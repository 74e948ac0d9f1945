"""Trains a model, or goes on with the run in the workdir."""

import sys

from stn_jax import cli


def main() -> int:
    """Reads the command line and trains."""
    # Imported under the watch of `cli.run`: a signal during the import is answered, too.
    from stn_jax.training.command import main

    return main()


if __name__ == "__main__":
    sys.exit(cli.run(main, resumes=True))
