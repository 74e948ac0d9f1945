import multiprocessing
import time

import pytest

from stn_jax.data import cache
from stn_jax.data.errors import DataError


def write_whole(directory):
    (directory / "part").write_text("whole")


def is_whole(directory):
    return (directory / "part").read_text() == "whole"


def test_what_is_there_is_not_built_again(tmp_path):
    built = []

    def build(directory):
        built.append(directory)
        write_whole(directory)

    for _ in range(2):
        found = cache.obtain(tmp_path / "deep" / "set", build=build, is_whole=is_whole)
        assert found == tmp_path / "deep" / "set"
        assert is_whole(found)
    assert len(built) == 1


def test_what_is_there_is_found_where_nothing_can_be_written(tmp_path):
    cache.obtain(tmp_path / "set", build=write_whole, is_whole=is_whole)
    (tmp_path / "set.lock").unlink()
    (tmp_path / "set.lock").mkdir()  # so that even root cannot open it
    found = cache.obtain(tmp_path / "set", build=write_whole, is_whole=is_whole)
    assert is_whole(found)


def test_what_is_damaged_is_built_again(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "part").write_text("who")
    cache.obtain(tmp_path / "set", build=write_whole, is_whole=is_whole)
    assert is_whole(tmp_path / "set")


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_build_leaves_nothing(tmp_path, error):
    def build(directory):
        (directory / "part").write_text("who")
        raise error

    with pytest.raises(error):
        cache.obtain(tmp_path / "set", build=build, is_whole=is_whole)
    assert [path.name for path in tmp_path.iterdir()] == ["set.lock"]


def test_what_a_killed_process_left_is_cleared_away(tmp_path):
    (tmp_path / "set.partial").mkdir()
    (tmp_path / "set.partial" / "other").write_text("left over")

    def build(directory):
        assert not list(directory.iterdir())
        write_whole(directory)

    cache.obtain(tmp_path / "set", build=build, is_whole=is_whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set", "set.lock"]


def obtain_slowly(directory, log):
    def build(empty):
        with log.open("a") as lines:
            lines.write("built\n")
        time.sleep(0.2)
        write_whole(empty)

    cache.obtain(directory, build=build, is_whole=is_whole)


def test_of_several_processes_one_builds_and_the_others_wait(tmp_path):
    context = multiprocessing.get_context("forkserver")
    arguments = (tmp_path / "set", tmp_path / "log")
    processes = [context.Process(target=obtain_slowly, args=arguments) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert (tmp_path / "log").read_text() == "built\n"


def test_a_cache_in_a_home_that_nobody_knows_is_refused(monkeypatch):
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    with pytest.raises(DataError, match=r"--data\.cache-dir ~/photos: .*set HOME"):
        cache.expand("~/photos")
