"""The stall counts time that the devices lost for want of a batch, and no other time."""

import itertools
import threading
import types

import jax
import pytest
from tiny_runs import tiny_config

from stn_jax.data.builder import prepare
from stn_jax.training import stall, window
from stn_jax.training.stall import StallMeter
from stn_jax.training.window import Window


class Clock:
    """Moves when told to; `read` is set when the meter's own thread has read it."""

    def __init__(self):
        self.now = 0.0
        self.read = threading.Event()
        self._main = threading.get_ident()

    def __call__(self) -> float:
        if threading.get_ident() != self._main:
            self.read.set()
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    for module in (stall, window):
        monkeypatch.setattr(module, "time", types.SimpleNamespace(monotonic=clock))
    return clock


class Running:
    """What a step will return, while the devices are at it."""

    def __init__(self, clock):
        self._clock = clock
        self._done = threading.Event()

    def is_ready(self) -> bool:
        return self._done.is_set()

    def block_until_ready(self) -> "Running":
        assert self._done.wait(60)
        return self

    def finish(self) -> None:
        self._clock.read.clear()
        self._done.set()
        assert self._clock.read.wait(60)


def source(clock, step, *, done_after, there_after):
    """A batch that is there so many seconds after it was asked for, while `step` runs on."""
    if done_after < there_after:
        clock.now += done_after
        step.finish()
        clock.now += there_after - done_after
    else:
        clock.now += there_after
    yield "batch"


@pytest.mark.parametrize(
    ("done_after", "there_after", "lost"),
    [
        (5.0, 0.0, 0.0),  # the source is ready
        (5.0, 4.0, 0.0),  # the loop waits; the devices do not
        (3.0, 4.0, 1.0),
        (0.0, 4.0, 4.0),  # the source is slow, and nothing else is
    ],
)
def test_what_counts_is_the_time_in_which_the_devices_have_nothing_to_do(
    clock, done_after, there_after, lost
):
    meter, earlier, step = StallMeter(), Running(clock), Running(clock)
    meter.give({"loss": earlier})
    meter.give({"loss": step})
    earlier.finish()
    clock.now += 100.0
    batches = source(clock, step, done_after=done_after, there_after=there_after)
    assert meter.take(batches) == "batch"
    assert meter.seconds == lost
    if done_after >= there_after:
        step.finish()


def test_idleness_before_the_batch_is_asked_for_is_not_the_inputs_fault(clock):
    meter, step = StallMeter(), Running(clock)
    meter.give(step)
    step.finish()
    clock.now += 100.0  # an evaluation, a figure
    late = source(clock, step, done_after=4.0, there_after=4.0)
    meter.take(late)
    assert meter.seconds == 4.0


class Sent:
    """A batch on its way to the devices."""

    def __init__(self, clock):
        self._clock = clock

    def block_until_ready(self) -> "Sent":
        self._clock.now += 2.0
        return self


def test_a_batch_is_there_when_it_is_on_the_devices(clock):
    meter = StallMeter()
    meter.take(iter([{"photo": Sent(clock)}]))
    assert meter.seconds == 2.0


def run(clock, seconds_to_load, steps=4):
    """Two windows of steps on batches that take a while to load; the input_stall of each."""
    step = jax.jit(lambda photo: {"loss": photo.mean(), "gradient_norm": photo.max()})

    def batches():
        for number in itertools.count():
            clock.now += seconds_to_load
            yield {"photo": jax.numpy.full(8, float(number)), "index": jax.numpy.arange(8)}

    photos = prepare(tiny_config().data).splits["train"]
    these, loading = Window(photos, batch_size=8), batches()
    shares = []
    for number in range(1, 2 * steps + 1):
        batch = these.take(loading)
        clock.read.clear()
        these.add(number, batch["index"], step(batch["photo"]))
        assert clock.read.wait(60)
        clock.now += 1.0  # the loop has something else to do
        if number % steps == 0:
            shares.append(these.close(lambda step, metrics: None)["input_stall"])
            clock.now += 50.0
    return shares


def test_each_window_has_the_share_of_its_own_time(clock):
    assert run(clock, 0.0) == [0.0, 0.0]
    assert run(clock, 3.0) == [0.75, 0.75]


def test_a_step_that_failed_is_no_stall_but_an_error():
    class Failed(Running):
        def block_until_ready(self):
            raise RuntimeError("out of memory")

    meter, step = StallMeter(), Failed(lambda: 0.0)
    step._done.set()
    meter.give(step)
    with pytest.raises(RuntimeError, match="out of memory"):
        meter.take(iter(["batch"]))
