"""Answers photos with a trained model, one JSON object a line."""

import dataclasses
import json
import sys
from collections.abc import Iterable
from pathlib import Path

import tyro

from stn_jax import cli
from stn_jax.config import ConfigError


@dataclasses.dataclass(frozen=True)
class Command:
    """Answer photos with a trained model, one JSON object a line.

    The exit status is 1 when any photo was refused; the others are answered all the same.
    """

    photos: tyro.conf.Positional[tuple[str, ...]]
    """Photos; folders stand for the photos in them and in their folders, and - for a list of names,
    a line each, on standard input."""
    workdir: Path
    """Folder of the run."""
    crops: Path | None = None
    """Folder for the areas of interest as PNG files, if wanted."""


def main() -> int:
    """Reads the command line and answers."""
    command = tyro.cli(Command)
    if not command.photos:
        raise ConfigError("name at least one photo, folder, or - for a list on standard input")
    _check_crops(command.crops)
    from stn_jax.data.errors import printable
    from stn_jax.data.photo import PhotoError
    from stn_jax.evaluation.files import answer_files, list_files, save_crop
    from stn_jax.evaluation.predictor import load_predictor

    predictor = load_predictor(command.workdir)
    for note in predictor.notes:
        print(f"note: {note}", file=sys.stderr)
    files = list_files(command.photos, _lines_on_stdin())
    answered = refused = 0
    for number, answer in enumerate(answer_files(predictor, files)):
        if isinstance(answer, PhotoError):
            refused += 1
            print(f"refused: {printable(str(answer))}", file=sys.stderr, flush=True)
            continue
        fields = answer.to_json()
        if command.crops is not None:
            fields["crop"] = str(save_crop(answer, command.crops, number))
        print(json.dumps(fields), flush=True)
        answered += 1
    if not answered and not refused:
        raise ConfigError(f"no file in {', '.join(command.photos)}")
    return cli.FAILED if refused else 0


def _lines_on_stdin() -> Iterable[str]:
    """Lines of standard input; none where it is closed."""
    if sys.stdin is None:
        return ()
    # Names of files are bytes; whichever they are, they come back from here as they were.
    sys.stdin.reconfigure(encoding=sys.getfilesystemencoding(), errors="surrogateescape")
    return sys.stdin


def _check_crops(folder: Path | None) -> None:
    """Refuses a file in the place of the folder, before the model is loaded."""
    places = [] if folder is None else [folder, *folder.parents]
    file = next((place for place in places if place.is_file()), None)
    if file is not None:
        raise ConfigError(f"--crops {folder}: {file} is a file, not a folder; name another")


if __name__ == "__main__":
    sys.exit(cli.run(main))
