import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import tensorflow_datasets as tfds
from made_photos import encode, make_pixels

from stn_jax.data import importer
from stn_jax.data.builder import make_features
from stn_jax.data.errors import DataError
from stn_jax.data.folder import Entry
from stn_jax.data.importer import (
    FileReader,
    Reading,
    Shard,
    write_shard,
    write_shards,
)
from stn_jax.data.photo import loading


def make_reader(root, **options):
    arguments = {
        "root": str(root),
        "size": (24, 36),
        "fit": "pad",
        "rotate_to_fit": False,
        "max_megapixels": 64.0,
        "max_file_bytes": 64e6,
    }
    return FileReader(**(arguments | options))


def make_shards(tmp_path, count, photos=2):
    """Shards of distinct photos, which are written to the folder, too."""
    shards = []
    for shard in range(count):
        files = [f"{shard}-{number}.png" for number in range(photos)]
        for number, file in enumerate(files):
            (tmp_path / file).write_bytes(encode(make_pixels(shard * photos + number)))
        entries = tuple(Entry(file=file, label="a", group=file[0]) for file in files)
        path = str(tmp_path / f"out-{shard}.array_record")
        shards.append(Shard(path=path, entries=entries, labels=(0,) * photos))
    return shards


def read_records(path):
    from array_record.python.array_record_module import ArrayRecordReader

    features = make_features()
    parser = tfds.core.example_parser.ExampleParserNp(features.get_serialized_info())
    reader = ArrayRecordReader(path)
    return [
        features.decode_example_np(parser.parse_example(reader.read([index])[0]))
        for index in range(reader.num_records())
    ]


def test_records_hold_pixels_label_name_group_and_metadata(tmp_path):
    (shard,) = make_shards(tmp_path, 1)
    entry = Entry(file="0-0.png", label="b", group="p", metadata={"skin_type": "FST2", "ä": "ö"})
    shard = Shard(shard.path, (entry, shard.entries[1]), (1, 0))
    result = write_shard(shard, make_reader(tmp_path))
    first, second = read_records(shard.path)
    assert first["photo"].shape == (24, 36, 3)
    assert (first["label"], second["label"]) == (1, 0)
    assert first["file"].decode() == "0-0.png"
    assert first["group"].decode() == "p"
    assert first["metadata"].decode() == '{"skin_type": "FST2", "ä": "ö"}'
    assert np.isnan(first["box"]).all()
    assert [photo.entry for photo in result.photos] == [entry, shard.entries[1]]
    assert result.photos[0].color_sum == tuple(first["photo"].sum(axis=(0, 1)).tolist())
    assert result.photos[0].pixel_count == 24 * 36


class WhiteReader:
    size = (1000, 4)

    def __call__(self, entry):
        return Reading(pixels=np.full((1000, 4, 3), 255, np.uint8))


def test_the_colors_of_a_large_bright_photo_add_up(tmp_path):
    (shard,) = make_shards(tmp_path, 1, photos=1)
    (photo,) = write_shard(shard, WhiteReader()).photos
    assert photo.color_sum == (255 * 4000,) * 3


@pytest.fixture
def two_cores(monkeypatch):
    """Several processes, on whatever machine: with one core there would be this one only."""
    monkeypatch.setattr(importer, "_cores", lambda: 2)


def in_first_process():
    return multiprocessing.parent_process() is None


class PatientReader:
    """Reads in the first process only once another has begun, so that both have something to do."""

    size = (24, 36)

    def __init__(self, folder, reader):
        self._folder = folder
        self._reader = reader

    def __call__(self, entry):
        if in_first_process():
            wait_until(lambda: len(list(self._folder.glob("*.array_record"))) > 1)
        return self._reader(entry)


@pytest.mark.usefixtures("two_cores")
@pytest.mark.parametrize("count", [2, 5])
def test_every_shard_is_written_once_by_one_or_several_processes(tmp_path, count):
    shards = make_shards(tmp_path, count)
    (tmp_path / "1-1.png").write_bytes(b"broken")
    reader = make_reader(tmp_path)
    if count > 2:
        reader = PatientReader(tmp_path, reader)
    results = list(write_shards(shards, reader))
    assert sorted(index for index, _ in results) == list(range(count))
    results = dict(results)
    for index, shard in enumerate(shards):
        taken = [photo.entry.file for photo in results[index].photos]
        assert taken == [record["file"].decode() for record in read_records(shard.path)]
        assert len(taken) == (1 if index == 1 else 2)
    assert results[1].refused == {"1-1.png": "text, not a photo"}


def test_photos_with_fewer_pixels_than_asked_for_are_marked(tmp_path):
    (shard,) = make_shards(tmp_path, 1)
    for size, enlarged in (((24, 36), False), ((61, 91), True)):
        result = write_shard(shard, make_reader(tmp_path, size=size))
        assert [photo.enlarged for photo in result.photos] == [enlarged, enlarged]


def die(entry):
    """Ends a process as the system does when memory runs out."""
    if not in_first_process():
        os.kill(os.getpid(), signal.SIGKILL)
    return Reading(pixels=np.zeros((24, 36, 3), np.uint8))


@pytest.mark.usefixtures("two_cores")
def test_a_process_that_dies_is_an_error_that_says_what_to_do(tmp_path):
    reader = PatientReader(tmp_path, die)
    with pytest.raises(DataError, match=r"import process died: out of memory \(lower --data\.max"):
        list(write_shards(make_shards(tmp_path, 4), reader))


PROGRAM = """
    import sys
    from stn_jax.config import DataConfig
    from stn_jax.data.builder import DataError, prepare
    from stn_jax.training.interrupts import Interrupted, StopSignal

    if __name__ == "__main__":
        root, cache = sys.argv[1:]
        with StopSignal():
            try:
                prepare(DataConfig(root=root, photo_size=(90, 135), cache_dir=cache))
            except Interrupted as error:
                print("interrupted by", error)
                sys.exit(0)
            except DataError as error:
                print(error)
"""


@pytest.fixture(scope="module")
def large_folder(tmp_path_factory):
    """A folder that takes seconds to import: a hundred names of two large photos."""
    root = tmp_path_factory.mktemp("large") / "photos"
    for name, seed in (("a", 1), ("b", 2)):
        (root / name).mkdir(parents=True)
        first = root / name / "000.jpg"
        first.write_bytes(encode(make_pixels(seed, (700, 1050)), "PNG", compress_level=1))
        for number in range(1, 50):
            os.link(first, root / name / f"{number:03d}.jpg")
    return root


def start(folder, cache, program=PROGRAM):
    command = [sys.executable, "-c", textwrap.dedent(program), str(folder), str(cache)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_gone(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["*.partial", "*.partial/**/*.array_record*"])
def test_an_interrupted_import_ends_quietly_and_leaves_nothing(
    large_folder, tmp_path, number, moment
):
    process = start(large_folder, tmp_path)
    wait_until(lambda: list(tmp_path.glob(moment)))
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert output == f"interrupted by {number.name}\n"
    assert errors == ""
    assert process.returncode == 0
    wait_until(lambda: is_gone(process.pid))
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".lock"]


INTERRUPTED_START = """
    import os, signal, threading, time
    from multiprocessing import util

    # The system gives a signal to any thread that does not hold it back.
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()

    def spawn(path, arguments, files, before=util.spawnv_passfds):
        process = before(path, arguments, files)
        if "spawn_main" in str(arguments):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.2)  # until it has been taken, if it is
        return process

    util.spawnv_passfds = spawn
"""


def test_an_interruption_waits_for_a_process_that_is_being_started(large_folder, tmp_path):
    """The signal comes when it runs, and has not been told yet what it is to do."""
    process = start(large_folder, tmp_path, program=INTERRUPTED_START + PROGRAM)
    output, errors = process.communicate(timeout=120)
    assert errors == ""
    assert output == "interrupted by SIGTERM\n"
    wait_until(lambda: is_gone(process.pid))


def test_after_a_kill_no_process_goes_on_and_the_next_import_starts_clean(large_folder, tmp_path):
    process = start(large_folder, tmp_path)
    wait_until(lambda: list(tmp_path.glob("*.partial/**/*.array_record*")))
    process.kill()
    process.communicate()
    wait_until(lambda: is_gone(process.pid))
    (left,) = tmp_path.glob("*.partial")
    (left / "half-made").write_text("")
    again = start(large_folder, tmp_path)
    output, errors = again.communicate(timeout=60)
    assert output.startswith("class a has no photo in")  # copies of one photo stay together
    assert errors == ""
    assert len(list(tmp_path.glob("photos-*/imported.json"))) == 1
    assert not list(tmp_path.glob("*.partial"))
    assert not list(tmp_path.glob("*/half-made"))


class SlowReader:
    """Takes its time over each photo and leaves a mark that it was read."""

    size = (24, 36)

    def __init__(self, marks):
        self.marks = marks

    def __call__(self, entry):
        if in_first_process():
            wait_until(lambda: list(self.marks.iterdir()))
        time.sleep(0.05)
        (self.marks / entry.file).touch()
        return Reading(pixels=np.zeros((24, 36, 3), np.uint8))


@pytest.mark.usefixtures("two_cores")
def test_when_nobody_wants_more_the_other_processes_stop_within_a_photo(tmp_path):
    (tmp_path / "marks").mkdir()

    def make_shard(name, photos):
        entries = tuple(Entry(file=f"{name}-{number}", label="a") for number in range(photos))
        return Shard(str(tmp_path / f"{name}.array_record"), entries, (0,) * photos)

    shards = [*(make_shard(f"long {number}", 60) for number in range(3)), make_shard("short", 1)]
    results = write_shards(shards, SlowReader(tmp_path / "marks"))
    assert next(results)[0] == 3
    results.close()
    assert 1 < len(list((tmp_path / "marks").iterdir())) < 60


def write_one_photo(folder):
    (folder / "1.png").write_bytes(encode(make_pixels(0)))
    shard = Shard(str(folder / "shard"), (Entry("1.png", "a"),), (0,))
    return write_shard(shard, make_reader(folder))


def test_a_photo_for_which_memory_was_short_is_not_refused_for_ever(tmp_path, monkeypatch):
    def short(*arguments):
        raise MemoryError

    monkeypatch.setattr(loading, "decode", short)
    with pytest.raises(DataError, match=r"1\.png: not enough memory .*--data.max-megapixels"):
        write_one_photo(tmp_path)


def test_a_photo_that_cannot_be_read_for_a_while_is_not_refused_for_ever(tmp_path):
    shard = Shard(str(tmp_path / "shard"), (Entry("gone.png", "a"),), (0,))
    with pytest.raises(DataError, match=r"gone\.png: cannot be read \(No such.*same command again"):
        write_shard(shard, make_reader(tmp_path))


def test_a_disk_that_is_full_is_said_with_the_option(tmp_path, monkeypatch):
    class Full:
        def __init__(self, path, options):
            pass

        def write(self, record):
            raise RuntimeError("write() failed: No space left on device; writing shard\nmore")

    monkeypatch.setattr(importer, "ArrayRecordWriter", Full)
    with pytest.raises(DataError, match=r"--data.cache-dir: cannot write .*No space left"):
        write_one_photo(tmp_path)
