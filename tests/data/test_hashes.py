import hashlib
import os
import time

import pytest

from stn_jax.data.hashes import hash_files


@pytest.fixture
def root(tmp_path):
    (tmp_path / "root").mkdir()
    long_ago = time.time() - 100
    for name in "abc":
        path = tmp_path / "root" / name
        path.write_text(f"content of {name}")
        os.utime(path, (long_ago, long_ago))
    return tmp_path / "root"


def hash_all(root):
    return hash_files(root, ["a", "b", "c"], index=root.parent / "cache" / "index.json")


def hashes(root):
    found, unreadable = hash_all(root)
    assert not unreadable
    return list(found.values())


def true_hashes(root):
    return [hashlib.sha256((root / name).read_bytes()).hexdigest() for name in "abc"]


@pytest.fixture
def opened(monkeypatch):
    """Names of the files that are read."""
    names, digest = [], hashlib.file_digest

    def watch(content, kind):
        names.append(os.path.basename(content.name))
        return digest(content, kind)

    monkeypatch.setattr(hashlib, "file_digest", watch)
    return names


def test_unchanged_files_are_read_once(root, opened):
    assert hashes(root) == hashes(root) == true_hashes(root)
    assert sorted(opened) == ["a", "b", "c"]


def test_changed_files_are_read_again(root, opened):
    hashes(root)
    opened.clear()
    (root / "a").write_text("another text")
    (root / "b").write_text("content of B")  # of the same length
    assert hashes(root) == true_hashes(root)
    assert sorted(opened) == ["a", "b"]


def test_a_file_that_changed_just_now_is_not_trusted_the_next_time(root, opened):
    (root / "a").write_text("fresh")
    hashes(root)
    stamp = (root / "a").stat()
    (root / "a").write_text("FRESH")
    os.utime(root / "a", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert hashes(root) == true_hashes(root)
    assert opened.count("a") == 2


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"a": 3}'])
def test_a_damaged_index_is_of_no_consequence(root, damage):
    hashes(root)
    (root.parent / "cache" / "index.json").write_text(damage)
    assert hashes(root) == true_hashes(root)


def test_an_index_that_cannot_be_written_is_of_no_consequence(root):
    found, _ = hash_files(root, ["a"], index=root / "b" / "index.json")
    assert found == {"a": true_hashes_of(root / "a")}


def test_what_cannot_be_read_says_so(root):
    (root / "b").unlink()
    found, unreadable = hash_all(root)
    assert unreadable == {"b": "No such file or directory"}
    assert found == {name: true_hashes_of(root / name) for name in "ac"}


def true_hashes_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()
