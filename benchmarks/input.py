"""Does training wait for photos? Import against a Pillow loop, batches against torch's DataLoader.

Both peers read the same files and bring them to the same size. The loop is a program of its own
that works on one core; it is measured with storing the pixels, as the import does, and without.
Rounds alternate between us and the peer, so that whatever else the machine does falls on both; the
median of the rounds' ratios counts.

    python -m benchmarks.input --root FOLDER

The second question needs torch (pip install torch), which stn_jax itself does not.
"""

import argparse
import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from benchmarks.processes import in_new_process
from benchmarks.turns import times_as_long
from stn_jax.config import DataConfig

SIZE = (630, 945)
BATCH = 15


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", required=True, help="folder of photos, one sub-folder a class")
    parser.add_argument("--rounds", type=int, default=3, help="measured rounds (default 3)")
    parser.add_argument("--batches", type=int, default=20, help="batches in a round (default 20)")
    arguments = parser.parse_args()
    # Here, not above: the import's processes load what stands above, and train.py has little there.
    from stn_jax.data.builder import prepare
    from stn_jax.data.pipeline import train_batches, train_dataset

    files = sorted(path for path in Path(arguments.root).rglob("*") if path.is_file())
    with tempfile.TemporaryDirectory() as cache:
        for name, store in (
            ("a loop over Pillow that stores the pixels", True),
            ("one that throws them away", False),
        ):
            compare(
                f"import of {len(files)} photos to {SIZE[0]}x{SIZE[1]}, in s",
                lambda: seconds_to_import(prepare, arguments.root, cache),
                # Its speed would else depend on what this process has done to the allocator.
                (
                    name,
                    lambda store=store: in_new_process(seconds, load_photos, files, cache, store),
                ),
                rounds=arguments.rounds,
            )
        data = DataConfig(root=arguments.root, photo_size=SIZE, cache_dir=cache)
        ours = prepare(data, progress=False).splits["train"]
        batches = train_batches(train_dataset(ours, batch_size=BATCH, seed=0), start=0)
        with contextlib.closing(torch_batches(files)) as peer:
            compare(
                f"batch of {BATCH}x{SIZE[0]}x{SIZE[1]}x3 uint8, in s",
                lambda: seconds_a_batch(batches, arguments.batches),
                ("torch's DataLoader, 2 workers", lambda: seconds_a_batch(peer, arguments.batches)),
                rounds=arguments.rounds,
            )


def compare(
    question: str,
    ours: Callable[[], float],
    peer: tuple[str, Callable[[], float]],
    *,
    rounds: int,
) -> None:
    name, theirs = peer
    mine, other = zip(*((ours(), theirs()) for _ in range(rounds)), strict=True)
    ratio = times_as_long(other, mine)
    mine, other = map(statistics.median, (mine, other))
    print(f"{question}: stn_jax {mine:.3g}, {name} {other:.3g}; {ratio:.2f} times as fast")


def seconds_to_import(prepare: Callable, root: str, cache: str) -> float:
    with tempfile.TemporaryDirectory(dir=cache) as fresh:
        data = DataConfig(root=root, photo_size=SIZE, cache_dir=fresh)
        return seconds(lambda: prepare(data, progress=False))


def seconds(work: Callable, *arguments) -> float:
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


def load_photos(files: list[Path], folder: str, store: bool) -> None:
    # A new file each time, as the import writes: to write over an old one is faster.
    with tempfile.TemporaryFile(dir=folder) if store else open(os.devnull, "wb") as output:
        for file in files:
            pixels = load(file)
            output.write(pixels)


def seconds_a_batch(batches, count: int) -> float:
    next(batches)  # starting up is not what is asked
    start = time.perf_counter()
    for _ in range(count):
        next(batches)
    return (time.perf_counter() - start) / count


def load(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    return np.asarray(ImageOps.pad(upright, (SIZE[1], SIZE[0])))


class JpegFiles:
    """The same photos as torch's loader reads them."""

    def __init__(self, files: list[Path]):
        self.files = files

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index: int) -> np.ndarray:
        return load(self.files[index])


def torch_batches(files: list[Path]):
    import torch.utils.data

    loader = torch.utils.data.DataLoader(
        JpegFiles(files),
        batch_size=BATCH,
        shuffle=True,
        drop_last=True,
        num_workers=2,
        persistent_workers=True,
        multiprocessing_context="spawn",  # this process runs JAX's threads
    )
    while True:
        yield from loader


if __name__ == "__main__":
    main()
