"""Damage is found, set aside and said, and the checkpoint before is taken."""

import logging
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_runs import assert_same_bits

from stn_jax.training import checkpoint
from stn_jax.training.checkpoint import (
    CheckpointStore,
    check_disk,
    find_damage,
    needed_bytes,
    on_one_device,
)
from stn_jax.training.errors import CheckpointError, WorkdirError


def tree(step: int) -> dict[str, jax.Array]:
    values = jax.random.normal(jax.random.key(step), (64, 64))
    return {"weights": values, "step": jnp.int32(step)}


@pytest.fixture
def folder(tmp_path) -> Path:
    """Checkpoints of steps 1, 2 and 3."""
    folder = tmp_path / "checkpoints"
    store = CheckpointStore(folder, keep=3)
    for step in (1, 2, 3):
        store.save(step, tree(step), {"seen": step})
    store.close()
    return folder


@pytest.fixture
def store(folder) -> Iterator[CheckpointStore]:
    store = CheckpointStore(folder, keep=3)
    yield store
    store.close()


def restore(store: CheckpointStore):
    return store.restore(on_one_device(jax.eval_shape(lambda: tree(0))))


def largest_file(folder: Path) -> Path:
    return max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def flip_a_bit(folder: Path) -> None:
    path = largest_file(folder)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(folder: Path) -> None:
    path = largest_file(folder)
    path.write_bytes(path.read_bytes()[:-7])


def fill_with_zeros(folder: Path) -> None:
    path = largest_file(folder)
    path.write_bytes(bytes(path.stat().st_size))


def remove_a_file(folder: Path) -> None:
    largest_file(folder).unlink()


def empty_the_directory(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def empty_the_list(folder: Path) -> None:
    (folder / "SHA256SUMS").write_text("")


def spoil_the_list(folder: Path) -> None:
    path = folder / "SHA256SUMS"
    path.write_bytes(bytes(path.stat().st_size))


DAMAGE = (
    flip_a_bit,
    truncate,
    fill_with_zeros,
    remove_a_file,
    empty_the_directory,
    empty_the_list,
    spoil_the_list,
)


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_damaged_newest_is_set_aside(folder, store, caplog, damage):
    damage(folder / "3")
    with caplog.at_level(logging.WARNING, logger=checkpoint.__name__):
        step, restored, notes = restore(store)
    assert (step, notes) == (2, {"seen": 2})
    assert_same_bits(restored, tree(2))
    assert not (folder / "3").exists()
    assert (folder.parent / "damaged" / "checkpoints-3").is_dir()
    assert "is damaged" in caplog.text
    store.save(3, tree(3), {"seen": 3})
    store.wait()
    assert restore(store)[0] == 3


def test_a_step_that_is_damaged_again_takes_the_place_of_what_was_set_aside(folder, store):
    for _ in range(2):
        flip_a_bit(folder / "3")
        assert restore(store)[0] == 2
        store.save(3, tree(3), {"seen": 3})
        store.wait()
    assert [path.name for path in (folder.parent / "damaged").iterdir()] == ["checkpoints-3"]


def test_saving_a_step_that_is_there_does_nothing(folder, store):
    for step in (2, 3):
        store.save(step, tree(9), {"seen": 9})
        store.wait()
    step, restored, notes = restore(store)
    assert (step, notes) == (3, {"seen": 3})
    assert_same_bits(restored, tree(3))


def test_notes_are_read_of_later_checkpoints_alone(folder, store):
    assert store.newest_notes(after=2) == (3, {"seen": 3})
    assert store.newest_notes(after=3) is None
    flip_a_bit(folder / "3")
    assert store.newest_notes(after=2) is None


def test_every_file_is_watched(folder):
    """Whichever file changes, it is noticed."""
    for path in sorted(p for p in (folder / "3").rglob("*") if p.is_file()):
        content = path.read_bytes()
        path.write_bytes(content + b"x")
        assert find_damage(folder / "3") is not None or path.name == "SHA256SUMS", path
        path.write_bytes(content)
    assert find_damage(folder / "3") is None


def test_stray_directories_are_not_taken_for_checkpoints(folder, caplog):
    (folder / "9").mkdir()
    (folder / "4.orbax-checkpoint-tmp").mkdir()
    store = CheckpointStore(folder, keep=3)
    assert restore(store)[0] == 3
    store.close()
    assert sorted(path.name for path in folder.iterdir()) == ["1", "2", "3"]
    assert "never finished" in caplog.text


def test_all_damaged_is_like_none(folder, store):
    for step in (1, 2, 3):
        flip_a_bit(folder / str(step))
    assert restore(store) is None


def test_killed_before_the_list_was_written(folder, store):
    (folder / "3" / "SHA256SUMS").unlink()
    assert restore(store)[0] == 3


def test_a_reader_changes_nothing(folder):
    flip_a_bit(folder / "3")
    before = sorted(folder.rglob("*"))
    store = CheckpointStore(folder)
    assert restore(store)[0] == 2
    store.close()
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("found", [None, "weights are missing"])
def test_a_reader_takes_the_newer_one_when_a_training_replaces_the_checkpoint(
    folder, monkeypatch, caplog, found
):
    def replace_while_it_is_looked_at(path):
        if path.name != "3":
            return find_damage(path)
        path.rename(folder / "4")
        return found

    monkeypatch.setattr(checkpoint, "find_damage", replace_while_it_is_looked_at)
    like = jax.eval_shape(lambda: tree(0))
    step, restored, _ = checkpoint._restore_newest(folder, like)
    assert step == 4
    assert_same_bits(restored, tree(3))
    assert "damaged" not in caplog.text


def test_weights_of_another_network_are_said_in_a_sentence(folder):
    like = {"weights": jax.ShapeDtypeStruct((64, 63), np.float32), "step": np.int32(0)}
    with pytest.raises(WorkdirError, match=r"do not fit the run's config\.json"):
        checkpoint._restore_newest(folder, jax.eval_shape(lambda: like))


def test_the_newest_are_kept(folder, store):
    store.save(4, tree(4), {})
    store.save(4, tree(99), {})  # a step that is there is left alone
    store.wait()
    assert sorted(path.name for path in folder.iterdir()) == ["2", "3", "4"]
    assert_same_bits(restore(store)[1], tree(4))


def test_nothing_is_pickled(folder):
    for path in folder.rglob("*"):
        if path.is_file():
            assert not path.read_bytes().startswith(b"\x80"), path


@pytest.fixture
def no_room() -> Iterator[None]:
    """Files of this process cannot grow beyond 2 kB: writing fails as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


# What TensorStore still had under way when Orbax gave up finds its event loop closed.
gives_up = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@gives_up
def test_full_disk(folder, store, request):
    request.getfixturevalue("no_room")
    with pytest.raises(CheckpointError, match=r"could not save .* GB free.*Earlier checkpoints"):  # noqa: PT012
        store.save(4, tree(4), {})
        store.wait()
    assert restore(store)[0] == 3


@gives_up
def test_failed_save_is_noticed_without_another_save(folder, store, request):
    request.getfixturevalue("no_room")
    store.save(4, tree(4), {})
    store._background.shutdown()
    with pytest.raises(CheckpointError, match="could not save"):
        store.check()


def test_a_save_that_failed_without_a_word_is_named(store, monkeypatch):
    def fail(step):
        raise TimeoutError

    monkeypatch.setattr(store, "_finish", fail)
    store.save(4, tree(4), {})
    with pytest.raises(CheckpointError, match=r"GB free\): TimeoutError\(\)\. Earlier"):
        store.wait()


def test_needed_space_is_checked(tmp_path):
    like = jax.eval_shape(lambda: tree(0))
    assert needed_bytes(like) == 64 * 64 * 4 + 4
    free = shutil.disk_usage(tmp_path).free
    check_disk(tmp_path, needed=free // 2)
    with pytest.raises(CheckpointError, match=r"need .* GB, and .* GB are free.*keep-checkpoints"):
        check_disk(tmp_path, needed=2 * free)


def test_space_on_disk_is_what_was_computed(folder):
    written = sum(p.stat().st_size for p in (folder / "3" / "tree").rglob("*") if p.is_file())
    assert written <= needed_bytes(tree(3)) * np.float64(1.2) + 10_000


def test_an_earlier_step_takes_the_place_of_later_ones(tmp_path):
    for step in (1, 5, 3):
        store = CheckpointStore(tmp_path / "best", keep=2)
        store.save(step, tree(step), {"seen": step})
        store.close()
    store = CheckpointStore(tmp_path / "best", keep=2)
    step, restored, notes = restore(store)
    store.close()
    assert (step, notes) == (3, {"seen": 3})
    assert_same_bits(restored, tree(3))
    assert sorted(path.name for path in (tmp_path / "best").iterdir()) == ["1", "3"]
