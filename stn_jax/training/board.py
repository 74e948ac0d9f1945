"""TensorBoard's events, written by the caller and not behind its back.

`tensorboardX.SummaryWriter` writes in a thread; when that dies, of a full disk for example, its
queue fills up and whoever adds to it waits for ever. Here an error is raised where it can be
answered.
"""

import socket
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from tensorboardX import summary
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import RecordWriter

_SECONDS = 10.0
"""Between two moments at which everything is brought to the disk."""


class Board:
    """One file of events, on the disk every few seconds.

    Raises:
      OSError: from any method, when the disk is full, say.
    """

    def __init__(self, folder: Path, *, step: int):
        """Opens a file; what an earlier one holds from `step` on is taken back."""
        folder.mkdir(parents=True, exist_ok=True)
        # Ordered by time, and another one than that of a run that ended in the same second.
        name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}"
        self._writer = RecordWriter(str(folder / name))
        self._flush_at = time.monotonic() + _SECONDS
        self._write(Event(step=step, file_version="brain.Event:2"))
        self._write(Event(step=step, session_log=SessionLog(status=SessionLog.START)))

    def add_scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Adds numbers under their names."""
        for name, value in values.items():
            self._write(Event(step=step, summary=summary.scalar(name, value)))

    def add_images(
        self, step: int, name: str, pixels: UInt8[np.ndarray, "batch height width channel"]
    ) -> None:
        """Adds a grid of images."""
        self._write(Event(step=step, summary=summary.image(name, pixels, dataformats="NHWC")))

    def add_text(self, step: int, name: str, text: str) -> None:
        """Adds a text in Markdown."""
        self._write(Event(step=step, summary=summary.text(name, text)))

    def close(self) -> None:
        """Closes the file."""
        self._writer.close()

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self._writer.write(event.SerializeToString())
        if (now := time.monotonic()) >= self._flush_at:
            self._flush_at = now + _SECONDS
            self._writer.flush()
