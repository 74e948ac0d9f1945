import itertools
import threading

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stn_jax.data.errors import DataError
from stn_jax.data.pipeline import eval_batches, to_devices, train_batches, train_dataset


class CountingSplit:
    """Photos whose pixels all equal their place; counts how often each is read."""

    def __init__(self, labels):
        self.labels = np.asarray(labels, np.int32)
        self.read = []

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        self.read.append(int(index))
        return {
            "photo": np.full((4, 6, 3), index, np.uint8),
            "label": int(self.labels[index]),
            "file": f"{index}.png",
        }


def make_split(count=20):
    return CountingSplit([i % 2 for i in range(count)])


def indices(dataset, steps):
    return [dataset[step]["index"].tolist() for step in steps]


def test_a_batch_holds_photos_labels_and_places_that_belong_together():
    split = make_split()
    batch = train_dataset(split, batch_size=5, seed=0)[3]
    assert batch["photo"].shape == (5, 4, 6, 3)
    assert batch["photo"].dtype == np.uint8
    assert batch["label"].dtype == batch["index"].dtype == np.int32
    np.testing.assert_array_equal(batch["photo"][:, 0, 0, 0], batch["index"])
    np.testing.assert_array_equal(batch["label"], split.labels[batch["index"]])


def test_a_batch_depends_on_its_step_alone():
    dataset = train_dataset(make_split(), batch_size=3, seed=7)
    forward = indices(dataset, range(30))
    assert indices(dataset, reversed(range(30))) == forward[::-1]
    again = train_dataset(make_split(), batch_size=3, seed=7)
    assert indices(again, [29, 3]) == [forward[29], forward[3]]
    assert indices(train_dataset(make_split(), batch_size=3, seed=8), range(30)) != forward


@pytest.mark.parametrize("start", [0, 1, 6, 1000])
def test_reading_from_a_step_on_gives_the_batches_of_these_steps(start):
    dataset = train_dataset(make_split(), batch_size=4, seed=1)
    found = [b["index"].tolist() for b in itertools.islice(train_batches(dataset, start=start), 9)]
    assert found == indices(dataset, range(start, start + 9))


@settings(max_examples=20, deadline=None)
@given(count=st.integers(2, 30), data=st.data())
def test_every_epoch_has_every_photo_once_in_an_order_of_its_own(count, data):
    batch_size = data.draw(st.integers(1, count))
    dataset = train_dataset(make_split(count), batch_size=batch_size, seed=3)
    steps = -(-4 * count // batch_size)
    stream = list(itertools.chain.from_iterable(indices(dataset, range(steps))))
    epochs = [stream[start : start + count] for start in range(0, 4 * count, count)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(count))
    if count >= 10:
        assert len({tuple(epoch) for epoch in epochs}) == 4


def test_balance_draws_every_class_equally_often_and_every_photo_in_its_turn():
    split = CountingSplit([0] * 27 + [1] * 9)
    dataset = train_dataset(split, batch_size=6, seed=0, balance=True)
    batches = indices(dataset, range(9))
    for batch in batches:
        assert split.labels[batch].tolist().count(1) == 3
    stream = list(itertools.chain.from_iterable(batches))
    assert sorted(i for i in stream if i < 27) == list(range(27))
    assert sorted(i for i in stream if i >= 27) == sorted(list(range(27, 36)) * 3)


def test_a_part_of_a_balanced_batch_has_photos_of_every_class():
    split = CountingSplit([0] * 30 + [1] * 10)
    dataset = train_dataset(split, batch_size=16, seed=0, balance=True)
    parts = np.array([dataset[step]["label"] for step in range(20)]).reshape(20, 8, 2)
    of_class = parts.mean(axis=1)
    assert (of_class.mean(axis=1) == 0.5).all()
    assert np.all((of_class > 0) & (of_class < 1), axis=1).mean() > 0.9
    np.testing.assert_allclose(of_class.mean(axis=0), 0.5, atol=0.1)


@pytest.mark.parametrize("balance", [False, True])
def test_hosts_share_one_global_batch(balance):
    split = CountingSplit([0] * 15 + [1] * 7)
    whole = train_dataset(split, batch_size=6, seed=2, balance=balance)
    parts = [
        train_dataset(split, batch_size=6, seed=2, balance=balance, shard=(host, 3))
        for host in range(3)
    ]
    for step in range(12):
        local = [part[step]["index"].tolist() for part in parts]
        assert [len(part) for part in local] == [2, 2, 2]
        assert sorted(itertools.chain.from_iterable(local)) == sorted(whole[step]["index"].tolist())


def test_each_host_reads_its_own_photos_only():
    split = make_split(24)
    train_dataset(split, batch_size=6, seed=2, shard=(1, 3))[5]
    assert len(split.read) == 2


def test_a_batch_larger_than_the_split_is_an_error_with_its_way_out():
    with pytest.raises(DataError, match=r"--train\.batch-size 21 is larger .* use at most 20"):
        train_dataset(make_split(), batch_size=21, seed=0)


def test_a_batch_that_hosts_cannot_share_is_an_error():
    with pytest.raises(DataError, match=r"--train\.batch-size 5 must be divisible by the 2"):
        train_dataset(make_split(), batch_size=5, seed=0, shard=(0, 2))


@settings(max_examples=40, deadline=None)
@given(count=st.integers(1, 30), local=st.integers(1, 7), hosts=st.integers(1, 3))
def test_evaluation_counts_every_photo_exactly_once(count, local, hosts):
    split = make_split(count)
    batches = [
        list(eval_batches(split, batch_size=local * hosts, shard=(host, hosts)))
        for host in range(hosts)
    ]
    assert len({len(of_host) for of_host in batches}) == 1
    seen = []
    for batch in itertools.chain.from_iterable(batches):
        assert batch["photo"].shape == (local, 4, 6, 3)
        assert batch["mask"].dtype == bool
        seen += batch["index"][batch["mask"]].tolist()
        np.testing.assert_array_equal(batch["photo"][:, 0, 0, 0], batch["index"])
        np.testing.assert_array_equal(batch["label"], split.labels[batch["index"]])
    assert sorted(seen) == list(range(count))


def test_evaluation_keeps_the_order_of_the_photos():
    batches = eval_batches(make_split(7), batch_size=3)
    assert [batch["index"][batch["mask"]].tolist() for batch in batches] == [
        [0, 1, 2],
        [3, 4, 5],
        [6],
    ]


SHARDING = jax.sharding.SingleDeviceSharding(jax.devices()[0])


def test_batches_are_sent_ahead_and_arrive_in_order():
    sent, third_is_sent = [], threading.Event()

    def batches():
        for number in range(5):
            sent.append(number)
            if number == 2:
                third_is_sent.set()
            yield {"index": np.full(2, number, np.int32)}

    arriving = to_devices(batches(), SHARDING, ahead=2)
    first = next(arriving)
    assert isinstance(first["index"], jax.Array)
    assert third_is_sent.wait(60), "two are to be on their way while the first is in use"
    assert sent == [0, 1, 2]
    assert [int(batch["index"][0]) for batch in [first, *arriving]] == [0, 1, 2, 3, 4]


def test_a_batch_that_is_there_is_not_kept_back_for_later_ones():
    first_is_out = threading.Event()

    def batches():
        yield {"index": np.zeros(2, np.int32)}
        assert first_is_out.wait(60), "the second batch kept the first one back"
        yield {"index": np.ones(2, np.int32)}

    arriving = to_devices(batches(), SHARDING, ahead=2)
    assert next(arriving)["index"].tolist() == [0, 0]
    first_is_out.set()
    assert [batch["index"].tolist() for batch in arriving] == [[1, 1]]


def test_what_goes_wrong_with_a_batch_is_said_when_it_is_its_turn():
    def batches():
        yield {"index": np.zeros(2, np.int32)}
        raise DataError("a.jpg: gone")

    arriving = to_devices(batches(), SHARDING, ahead=2)
    next(arriving)
    with pytest.raises(DataError, match="gone"):
        next(arriving)


def test_an_endless_stream_is_read_no_further_than_asked():
    counter = itertools.count()
    endless = ({"index": np.full(1, number, np.int32)} for number in counter)
    list(itertools.islice(to_devices(endless, SHARDING, ahead=3), 4))
    assert next(counter) <= 8
