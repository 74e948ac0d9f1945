"""Checkpoints that can be trusted: the only file that knows Orbax.

Every finished save gets a list of SHA-256 sums (`SHA256SUMS`, readable by `sha256sum --check`).
Before a checkpoint is restored, its files are compared with the list; a damaged one is moved to
`damaged/` beside its folder, and the one before it is taken.
"""

import contextlib
import hashlib
import logging
import shutil
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import orbax.checkpoint as ocp
from jaxtyping import PyTree

from stn_jax.models import make_model
from stn_jax.training.devices import agree_on, is_main
from stn_jax.training.errors import CheckpointError, WorkdirError
from stn_jax.training.state import init_state, make_optimizer
from stn_jax.training.workdir import has_checkpoint, read_run, steps_in, write_atomically

_log = logging.getLogger(__name__)
_SUMS = "SHA256SUMS"
_ORBAX_MARK = "_CHECKPOINT_METADATA"
_NONE = -1
_ATTEMPTS = 10
"""Readings of a folder in which a training replaces the checkpoint that is being read."""


class Weights(NamedTuple):
    """What a run predicts with: variables for `model.apply`, and the step they are from."""

    variables: PyTree
    step: int
    by_validation: bool
    """Whether they have the least validation loss; otherwise they are the newest."""


class CheckpointStore:
    """Checkpoints of one kind in one folder, the newest `keep` of them.

    Saving returns as soon as the arrays are copied; files are written, and then summed, in the
    background. Every process of a job calls the same methods at the same steps, and waits.
    Without `keep` the store only reads, and leaves alone what another process may be writing.
    """

    def __init__(self, folder: Path, *, keep: int | None = None):
        self._folder = folder.absolute()
        self._read_only = keep is None
        self._background = ThreadPoolExecutor(1, thread_name_prefix=f"save-{folder.name}")
        self._saving: Future[None] | None = None
        if self._read_only:
            options = ocp.CheckpointManagerOptions(
                read_only=True, save_interval_steps=0, create=False
            )
        else:
            options = ocp.CheckpointManagerOptions(max_to_keep=keep, cleanup_tmp_directories=True)
        self._manager = ocp.CheckpointManager(
            self._folder, item_names=("tree", "notes"), options=options
        )

    @property
    def latest(self) -> int | None:
        """Step of the newest checkpoint."""
        return max(self._manager.all_steps(), default=None)

    def save(self, step: int, tree: PyTree, notes: dict[str, Any]) -> None:
        """Starts to save; the save before it is finished first.

        Checkpoints of later steps, which a run left that was killed and has gone on from an earlier
        one, are removed.

        Args:
          step: name of the checkpoint; saving a step that is there already does nothing.
          tree: arrays.
          notes: anything that JSON holds.

        Raises:
          CheckpointError: when this or the save before it failed, for example on a full disk.
        """
        self.wait()
        if step in self._manager.all_steps():
            return
        args = ocp.args.Composite(tree=ocp.args.StandardSave(tree), notes=ocp.args.JsonSave(notes))
        try:
            # Beside a later step Orbax would save nothing, and not say so.
            for later in [each for each in self._manager.all_steps() if each > step]:
                self._manager.delete(later)
            self._manager.save(step, args=args)
        except (OSError, ValueError) as error:
            raise self._failed(error) from error
        self._saving = self._background.submit(self._finish, step)
        if jax.process_count() > 1:
            # Two stores that save at once can wait for each other's barriers for ever.
            self.wait()

    def check(self) -> None:
        """Raises CheckpointError if the last save is known to have failed; waits for nothing."""
        if self._saving is not None and self._saving.done():
            self.wait()

    def wait(self) -> None:
        """Returns when everything is on the disk.

        Raises:
          CheckpointError: when it could not be written.
        """
        saving, self._saving = self._saving, None
        if saving is None:
            return
        try:
            saving.result()
        except (OSError, ValueError) as error:
            raise self._failed(error) from error

    def restore(self, like: PyTree) -> tuple[int, PyTree, dict[str, Any]] | None:
        """Reads the newest sound checkpoint; damaged ones are set aside.

        Args:
          like: shapes, types and shardings (`jax.ShapeDtypeStruct`) of the tree that was saved.

        Returns:
          (step, tree, notes), or None where there is no sound checkpoint.

        Raises:
          WorkdirError: when its arrays have other shapes.
        """
        step = self._agreed_newest()
        if step == _NONE:
            return None
        self._check_shapes(step, like)
        args = ocp.args.Composite(tree=ocp.args.StandardRestore(like), notes=ocp.args.JsonRestore())
        restored = self._manager.restore(step, args=args)
        return step, restored["tree"], restored["notes"]

    def newest_notes(self, *, after: int) -> tuple[int, dict[str, Any]] | None:
        """Reads what was noted with the newest sound checkpoint, without its arrays.

        Args:
          after: step up to which checkpoints are of no interest, and are not read.

        Returns:
          (step, notes), or None where there is no such checkpoint.
        """
        latest = self.latest if is_main() else None
        if agree_on(_NONE if latest is None else latest) <= after:
            return None
        step = self._agreed_newest()
        if step <= after:  # what was later is damaged, or there is none
            return None
        args = ocp.args.Composite(notes=ocp.args.JsonRestore())
        return step, self._manager.restore(step, args=args)["notes"]

    def close(self) -> None:
        """Finishes writing and frees the threads.

        Raises:
          CheckpointError: when the last save could not be written.
        """
        try:
            self.wait()
        finally:
            self._background.shutdown()
            with contextlib.suppress(OSError, ValueError):  # said by `wait` already
                self._manager.close()

    def _place(self, step: int) -> Path:
        return self._folder / str(step)

    def _agreed_newest(self) -> int:
        # One process looks, so that all take the same checkpoint.
        step = agree_on(self._newest_sound() if is_main() else _NONE)
        self._manager.reload()
        return step

    def _check_shapes(self, step: int, like: PyTree) -> None:
        folder = self._place(step)
        with ocp.StandardCheckpointer() as reader:
            saved = reader.metadata(folder / "tree").item_metadata.tree
        if _shapes(saved) != _shapes(like):
            raise WorkdirError(
                f"{folder}: the weights do not fit the run's config.json, which was edited or is "
                "of another version of this program"
            )

    def _newest_sound(self) -> int:
        for step in sorted(self._manager.all_steps(), reverse=True):
            folder = self._place(step)
            problem = find_damage(folder)
            if problem is None:
                return step
            if not folder.is_dir():
                raise FileNotFoundError(f"checkpoint {folder} is gone")
            self._set_aside(step, problem)
        return _NONE

    def _set_aside(self, step: int, problem: str) -> None:
        folder = self._place(step)
        if self._read_only:
            _log.warning("checkpoint %s is damaged (%s) and not used", folder, problem)
            return
        target = self._folder.parent / "damaged" / f"{self._folder.name}-{step}"
        if target.exists():
            shutil.rmtree(target)
        target.parent.mkdir(exist_ok=True)
        folder.rename(target)
        _log.warning("checkpoint %s is damaged (%s): moved to %s", folder, problem, target)

    def _finish(self, step: int) -> None:
        self._manager.wait_until_finished()
        if not is_main():
            return
        folder = self._place(step)
        lines = [f"{digest}  {name}\n" for name, digest in _sums(folder).items()]
        write_atomically(folder / _SUMS, "".join(lines))

    def _failed(self, error: Exception) -> CheckpointError:
        free = shutil.disk_usage(self._folder).free / 1e9
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        return CheckpointError(
            f"could not save a checkpoint to {self._folder} ({free:.1f} GB free): {reason}. "
            "Earlier checkpoints are intact; make room and run the same command to go on from there"
        )


def find_damage(folder: Path) -> str | None:
    """Says what is wrong with the files of a checkpoint, or None."""
    if not (folder / _ORBAX_MARK).is_file():
        return "it was never finished"
    if not (folder / _SUMS).is_file():
        return None  # killed between Orbax's atomic move and our list: everything is there
    lines = (folder / _SUMS).read_text(errors="replace").splitlines()
    listed = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    if _ORBAX_MARK not in listed:
        return f"{_SUMS} is damaged"
    found = _sums(folder)
    for name, digest in listed.items():
        if name not in found:
            return f"{name} is missing"
        if found[name] != digest:
            return f"{name} has changed since it was written"
    return None


def _shapes(tree: PyTree) -> Counter[tuple[int, ...]]:
    # Counted, because Orbax names what lies in tuples otherwise than JAX.
    return Counter(tuple(leaf.shape) for leaf in jax.tree.leaves(tree))


def needed_bytes(tree: PyTree) -> int:
    """Bytes of a tree's arrays on the disk, at most (Orbax compresses a little)."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def check_disk(folder: Path, *, needed: int) -> None:
    """Refuses to start a run whose checkpoints cannot fit.

    Raises:
      CheckpointError: saying how much is needed and how much is free.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise CheckpointError(
            f"{folder}: the checkpoints of this run need {needed / 1e9:.2f} GB, and "
            f"{free / 1e9:.2f} GB are free. Make room, choose a --workdir on another disk, or "
            "lower --train.keep-checkpoints"
        )


def restore_best(workdir: str | Path) -> Weights:
    """Reads the weights to predict with: the best by validation, else the newest.

    Raises:
      WorkdirError: when the run has no checkpoint yet.
    """
    workdir = Path(workdir)
    like = _state_like(workdir)
    for name, tree in (("best", like.variables), ("checkpoints", like)):
        if not (workdir / name).is_dir():
            continue
        restored = _restore_newest(workdir / name, tree)
        if restored is not None:
            step, tree, _ = restored
            best = name == "best"
            return Weights(tree if best else tree.variables, step, by_validation=best)
    raise _no_checkpoint(workdir)


def restore_last(workdir: str | Path) -> tuple[int, PyTree, dict[str, Any]]:
    """Reads the newest checkpoint of a run.

    Returns:
      (step, the whole state on the first device, notes).

    Raises:
      WorkdirError: when the run has no checkpoint yet.
    """
    workdir = Path(workdir)
    like = _state_like(workdir)
    restored = _restore_newest(workdir / "checkpoints", like)
    if restored is None:
        raise _no_checkpoint(workdir)
    return restored


def _restore_newest(folder: Path, like: PyTree) -> tuple[int, PyTree, dict[str, Any]] | None:
    """Reads the newest sound checkpoint, also of a run that is training.

    Raises:
      WorkdirError: when it is of another network than `like`.
    """
    for _ in range(_ATTEMPTS):
        before = steps_in(folder)
        store = CheckpointStore(folder)
        try:
            return store.restore(on_one_device(like))
        except Exception:
            # Whatever was being read may just have been replaced: then there is a newer one.
            if steps_in(folder) == before:
                raise
        finally:
            store.close()
    raise WorkdirError(f"{folder} changes too quickly to be read: try again, or stop its training")


def _no_checkpoint(workdir: Path) -> WorkdirError:
    if has_checkpoint(workdir):
        return WorkdirError(
            f"every checkpoint of {workdir} is damaged: restore the folder from a copy, or train "
            "anew in another one"
        )
    return WorkdirError(
        f"{workdir} has no checkpoint yet: train it first (python train.py, same --workdir)"
    )


def on_one_device(tree: PyTree) -> PyTree:
    """Shapes and types of a tree, to be restored to the first device."""
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return with_sharding(tree, sharding)


def with_sharding(tree: PyTree, sharding: jax.sharding.Sharding) -> PyTree:
    """Shapes and types of a tree, to be restored with one sharding."""
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree
    )


def _state_like(workdir: Path) -> PyTree:
    """Shapes and types of a run's state."""
    run = read_run(workdir)
    model = make_model(run.config.model, num_classes=len(run.classes), mean_color=run.mean_color)
    return jax.eval_shape(
        lambda: init_state(
            model,
            make_optimizer(run.config.train),
            photo_size=run.config.data.photo_size,
            num_channels=len(run.mean_color),
            seed=run.config.train.seed,
        )
    )


def _sums(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): _sha256(path)
        for path in files
        if not path.name.startswith((_SUMS, f".{_SUMS}"))
    }


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
