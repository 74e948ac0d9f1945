"""How fast is the sampler, against torch and the samplers that JAX users have?

Measures crops of photos by an affine map: forward, forward + theta's gradient, and forward + both
gradients; at the paper's size and at that of small images. All contestants take turns in every
round, so that what else the machine does meets all alike; a ratio is the median over the rounds of
(their time / ours in the same round): above 1, ours is quicker.

torch is given both memory layouts and its quicker one counts; it has no uint8 sampler and reads
float32. Peers that are not installed are left out: pip install torch dm-pix keras.

    python -m benchmarks.sampler --output benchmarks/results/sampler.json

The others' turns have mostly pushed a contestant's photos out of the caches, and one call before
the one that is timed does not bring all of them back: what is measured is photos that come from
memory, as a network gets them. `--calls-before 8` measures photos that lie in the cache, as far as
they fit.
"""

import argparse
import functools
import json
import math
import os
import platform
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import turns
from stn_jax.sampling import affine_grid, spatial_transform


class Scene(NamedTuple):
    """What is sampled."""

    name: str
    photos: tuple[int, int, int, int]
    crop: tuple[int, int]
    zoom: float

    @property
    def theta(self) -> np.ndarray:
        """A zoom with a rotation of 0.1, a little off the centre."""
        cos, sin = self.zoom * math.cos(0.1), self.zoom * math.sin(0.1)
        theta = [[cos, -sin, 0.05], [sin, cos, -0.02]]
        return np.tile(np.array(theta, np.float32), (self.photos[0], 1, 1))


SCENES = (
    Scene("paper, zoom 0.8", (15, 630, 945, 3), (210, 315), 0.8),
    Scene("paper, zoom 0.3", (15, 630, 945, 3), (210, 315), 0.3),
    Scene("60x60, zoom 0.8", (256, 60, 60, 3), (60, 60), 0.8),
)
LARGER = Scene("photo 16 times larger", (15, 2520, 3780, 3), (210, 315), 0.8)
TASKS = ("forward", "theta gradient", "both gradients")

Call = Callable[[], object]
Measure = Callable[[dict[str, Call]], dict[str, list[float]]]


def jax_calls(sample, photos: jax.Array, scene: Scene, weights: np.ndarray) -> dict[str, Call]:
    """Calls for each task of a function of (photos, theta); `weights` is the crops' cotangent."""
    return {
        name: lambda start=start: jax.block_until_ready(start())
        for name, start in jax_starts(sample, photos, scene, weights).items()
    }


def jax_starts(sample, photos: jax.Array, scene: Scene, weights: np.ndarray) -> dict[str, Call]:
    """The same calls, but they do not wait for the device."""
    theta, weights = jnp.asarray(scene.theta), jnp.asarray(weights)

    # The cotangent is an argument, as it is one in a network: XLA would rearrange a constant.
    @jax.jit
    def theta_gradient(photos, theta, weights):
        crops, pull = jax.vjp(lambda theta: sample(photos, theta), theta)
        return crops, pull(weights)

    @jax.jit
    def both_gradients(photos, theta, weights):
        crops, pull = jax.vjp(sample, photos, theta)
        return crops, pull(weights)

    forward = jax.jit(sample)
    tasks = {
        "forward": lambda: forward(photos, theta),
        "theta gradient": lambda: theta_gradient(photos, theta, weights),
    }
    if jnp.issubdtype(photos.dtype, jnp.floating):
        tasks["both gradients"] = lambda: both_gradients(photos, theta, weights)
    return tasks


def torch_calls(
    torch, photos: np.ndarray, scene: Scene, cotangent: np.ndarray, layout, device: str = "cpu"
) -> dict[str, Call]:
    """The same for torch, whose photos have a memory layout; on a GPU they do not wait for it."""
    sampler = torch.nn.functional

    def channels_first(array):
        tensor = torch.tensor(array, dtype=torch.float32, device=device).permute(0, 3, 1, 2)
        return tensor.contiguous(memory_format=layout)

    photos, cotangent = channels_first(photos), channels_first(cotangent)
    theta = torch.tensor(scene.theta, device=device)
    size = (scene.photos[0], 3, *scene.crop)

    def sample(photos, theta):
        grid = sampler.affine_grid(theta, size, align_corners=False)
        return sampler.grid_sample(photos, grid, align_corners=False)

    def forward():
        with torch.no_grad():
            return sample(photos, theta)

    def gradient(of_photos):
        leaves = photos.detach().requires_grad_(of_photos), theta.detach().requires_grad_()
        sample(*leaves).backward(cotangent)

    return {
        "forward": forward,
        "theta gradient": lambda: gradient(False),
        "both gradients": lambda: gradient(True),
    }


def by_coordinates(interpolate, photos, theta, crop):
    """Crops by a peer that reads one channel of one photo at coordinates [2, height, width]."""
    height, width = photos.shape[1:3]
    x, y = jnp.moveaxis(affine_grid(theta, crop), -1, 0)
    coordinates = jnp.stack([((y + 1) * height - 1) / 2, ((x + 1) * width - 1) / 2], axis=1)
    read = jax.vmap(jax.vmap(interpolate, (-1, None), -1))
    return read(photos.astype(jnp.float32), coordinates)


def peers(photos: np.ndarray, scene: Scene, cotangent: np.ndarray) -> dict[str, dict[str, Call]]:
    """Calls of every peer that is installed."""
    found = {}

    def add(name, interpolate):
        sample = functools.partial(_crop, interpolate, scene.crop)
        found[name] = jax_calls(sample, jnp.asarray(photos, jnp.float32), scene, cotangent)

    def _crop(interpolate, crop, photos, theta):
        return by_coordinates(interpolate, photos, theta, crop)

    scipy = jax.scipy.ndimage.map_coordinates
    add("jax.scipy", lambda image, at: scipy(image, list(at), order=1, mode="constant"))
    try:
        import dm_pix
    except ImportError:
        pass
    else:
        add("dm_pix", dm_pix.flat_nd_linear_interpolate)
    try:
        import keras
    except ImportError:
        pass
    else:
        add("keras", lambda image, at: keras.ops.image.map_coordinates(image, at, order=1))
    try:
        import torch
    except ImportError:
        return found
    for name in ("contiguous_format", "channels_last"):
        layout = getattr(torch, name)
        found[f"torch {name}"] = torch_calls(torch, photos, scene, cotangent, layout)
    return found


def measure(
    calls: dict[str, Call],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
    calls_before: int = 1,
) -> dict[str, list[float]]:
    """Milliseconds of each call in each round, after one round of warming up.

    The call that is timed follows others that are not: otherwise what is measured is also the
    state of the contestant before, whose threads may wait in a busy loop.
    """
    times = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name, call in calls.items():
            for _ in range(calls_before):
                call()
            start = clock()
            call()
            if turn:
                times[name].append(1e3 * (clock() - start))
    return times


def merge_layouts(times: dict[str, list[float]]) -> dict[str, list[float]]:
    """Leaves of torch's layouts the one with the lower median."""
    layouts = [name for name in times if name.startswith("torch")]
    best = min(layouts, key=lambda name: statistics.median(times[name]), default=None)
    kept = {name: value for name, value in times.items() if name not in layouts}
    return kept if best is None else {**kept, "torch": times[best]}


def ratios(times: dict[str, list[float]], ours: str) -> dict[str, float]:
    """For every peer, the median over the rounds of its time as a multiple of ours."""
    others = {name: value for name, value in times.items() if not name.startswith("ours")}
    return {name: turns.times_as_long(value, times[ours]) for name, value in others.items()}


def compare(scene: Scene, measure: Measure) -> list[dict]:
    """Every task of a scene against every peer."""
    rng = np.random.default_rng(0)
    photos = rng.integers(0, 256, size=scene.photos, dtype=np.uint8)
    cotangent = rng.normal(size=(scene.photos[0], *scene.crop, 3)).astype(np.float32)

    def ours(photos, theta):
        return spatial_transform(photos, theta, scene.crop)

    contestants = {
        "ours uint8": jax_calls(ours, jnp.asarray(photos), scene, cotangent),
        "ours float32": jax_calls(ours, jnp.asarray(photos, jnp.float32), scene, cotangent),
        **peers(photos, scene, cotangent),
    }
    results = []
    for task in TASKS:
        calls = {name: tasks[task] for name, tasks in contestants.items() if task in tasks}
        times = merge_layouts(measure(calls))
        results += [
            {
                "scene": scene.name,
                "task": task,
                "images": name.removeprefix("ours "),
                "milliseconds": statistics.median(times[name]),
                "times_as_long": ratios(times, name),
            }
            for name in times
            if name.startswith("ours")
        ]
    return results


def growth(measure: Measure) -> dict:
    """The same crop of a small and of a large photo: cost must follow the crop, not the photo."""
    calls = {}
    for scene in (SCENES[0], LARGER):
        photos = np.random.default_rng(0).integers(0, 256, size=scene.photos, dtype=np.uint8)
        crop = jax.jit(functools.partial(spatial_transform, size=scene.crop))
        inputs = jnp.asarray(photos), jnp.asarray(scene.theta)
        calls[scene.name] = lambda crop=crop, inputs=inputs: jax.block_until_ready(crop(*inputs))
    times = measure(calls)
    small, large = (times[scene.name] for scene in (SCENES[0], LARGER))
    return {
        "scene": LARGER.name,
        "task": "forward",
        "images": "uint8",
        "milliseconds": statistics.median(large),
        "times_as_long_as_the_small_photo": turns.times_as_long(large, small),
    }


def print_table(results: list[dict]) -> None:
    """Prints how many times as long as ours each peer takes."""
    names = sorted({name for result in results for name in result["times_as_long"]})
    print(f"{'':46}{'ours, ms':>10}" + "".join(f"{name:>11}" for name in names))
    for result in results:
        label = f"{result['scene']:17}{result['task']:16}{result['images']}"
        cells = (result["times_as_long"].get(name) for name in names)
        row = "".join(f"{'' if cell is None else f'{cell:.2f}x':>11}" for cell in cells)
        print(f"{label:46}{result['milliseconds']:10.1f}{row}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    turns.add_options(parser, rounds=15)
    parser.add_argument(
        "--calls-before",
        type=int,
        default=1,
        help="calls of the same contestant before each one that is timed (default 1)",
    )
    options = parser.parse_args()
    clock = time.process_time if options.cpu_time else time.perf_counter
    take_turns = functools.partial(
        measure, rounds=options.rounds, clock=clock, calls_before=options.calls_before
    )
    results = [result for scene in SCENES for result in compare(scene, take_turns)]
    print_table(results)
    large = growth(take_turns)
    factor = large["times_as_long_as_the_small_photo"]
    print(f"\nthe same crop from photos 16 times larger takes {factor:.2f} times as long")
    if options.output:
        device = jax.devices()[0].device_kind
        machine = {"device": device, "cores": os.cpu_count(), "jax": jax.__version__,
                   "python": platform.python_version()}  # fmt: skip
        report = {
            "machine": machine,
            "cpu_time": options.cpu_time,
            "rounds": options.rounds,
            "calls_before": options.calls_before,
            "results": [*results, large],
        }
        options.output.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
