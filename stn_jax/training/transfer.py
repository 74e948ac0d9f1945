"""Starts a run from the weights of another."""

from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from stn_jax.config import ConfigError, DataConfig
from stn_jax.config.errors import flag
from stn_jax.training.checkpoint import restore_best
from stn_jax.training.errors import WorkdirError
from stn_jax.training.state import TrainState
from stn_jax.training.workdir import read_run

_DIVISION = ("val_size", "test_size", "folds", "fold", "split_seed", "duplicates")
"""Options that say which photo of a folder is for training."""
_GENERATED_DIVISION = ("synthetic.train", "synthetic.val")
"""The same for generated photos: they are made in a row, of which the test has the end."""


def start_from(
    state: TrainState, other: str | Path, *, classes: Sequence[str], data: DataConfig
) -> tuple[TrainState, str]:
    """Puts the best weights of the run in workdir `other` into a fresh state.

    Where the classes differ, the last layer keeps its fresh weights.

    Args:
      state: fresh weights.
      other: workdir of the other run.
      classes: names, in the order of the logits.
      data: the photos that this run learns from.

    Returns:
      The state, and a sentence that says what was taken.

    Raises:
      ConfigError: when any other layer differs, or the other run divided the same photos otherwise.
      WorkdirError: when there is no such run, or it has no checkpoint.
    """
    try:
        variables, step, by_validation = restore_best(other)
    except WorkdirError as error:
        raise WorkdirError(f"--train.init-from: {error}") from error
    run = read_run(other)
    _check_division(data, run.config.data, other)
    fresh, found = _by_name(state.variables), _by_name(variables)
    misfits = {
        name
        for name in fresh.keys() | found.keys()
        if name not in fresh or name not in found or fresh[name].shape != found[name].shape
    }
    last = f"params/classifier/{_last_layer(state.params['classifier'])}/"
    replaced = set()
    if run.classes != tuple(classes):
        replaced = {name for name in fresh if name.startswith(last)}
    if strangers := sorted(misfits - replaced):
        raise ConfigError(
            f"--train.init-from {other}: its model has other layers: {', '.join(strangers[:8])}"
            + (" ..." if len(strangers) > 8 else "")
            + ". Use the model options of that run"
        )
    merged = jax.tree.map_with_path(
        lambda path, leaf: leaf if _name(path) in replaced else _placed(found[_name(path)], leaf),
        state.variables,
    )
    params = merged.pop("params")
    kept = "; the last layer is new, for the classes differ" if replaced else ""
    newest = "" if by_validation else ", its newest, for it has no best ones"
    sentence = f"started from the weights of {other} at step {step}{newest}{kept}"
    return state.replace(params=params, model_state=merged), sentence


def _check_division(ours: DataConfig, theirs: DataConfig, other: str | Path) -> None:
    """Refuses weights that may have learned from photos of this run's validation or test."""
    if not _same_photos(ours, theirs):
        return
    division = _GENERATED_DIVISION if ours.root is None else _DIVISION
    differing = [name for name in division if attrgetter(name)(ours) != attrgetter(name)(theirs)]
    if differing:
        options = ", ".join(flag("data", name) for name in differing)
        raise ConfigError(
            f"--train.init-from {other}: it divided the same photos otherwise ({options}), so its "
            "weights may have learned from this run's test. Divide them alike"
        )


def _same_photos(ours: DataConfig, theirs: DataConfig) -> bool:
    if ours.root is None or theirs.root is None:
        made = attrgetter("root", "photo_size", "synthetic.kind", "synthetic.seed")
        return made(ours) == made(theirs)
    return Path(ours.root).resolve() == Path(theirs.root).resolve()


def _placed(value: jax.Array, like: jax.Array) -> jax.Array:
    # By way of the host: devices of other processes have none of what this one has read.
    return jax.make_array_from_process_local_data(like.sharding, np.asarray(value))


def _last_layer(classifier: PyTree) -> str:
    dense = [name for name in classifier if name.startswith("Dense_")]
    return max(dense, key=lambda name: int(name.removeprefix("Dense_")))


def _by_name(tree: PyTree) -> dict[str, Any]:
    return {_name(path): leaf for path, leaf in jax.tree.leaves_with_path(tree)}


def _name(path: tuple[Any, ...]) -> str:
    return "/".join(str(entry.key) for entry in path)
