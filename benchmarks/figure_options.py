"""What figures of several runs are asked for: the runs, by name, and where the picture goes."""

import argparse
from pathlib import Path


def read_options(doc: str) -> tuple[dict[str, Path], Path]:
    """Reads NAME=WORKDIR arguments, and --output, from the command line.

    Args:
      doc: of the program; its first line describes it.

    Returns:
      (workdirs by name, the picture to write).
    """
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument(
        "runs", nargs="+", metavar="NAME=WORKDIR", help="an evaluated run, and what to call it"
    )
    parser.add_argument("--output", type=Path, required=True, help="the picture to write")
    options = parser.parse_args()
    runs = dict(run.split("=", 1) for run in options.runs)
    return {name: Path(workdir) for name, workdir in runs.items()}, options.output
