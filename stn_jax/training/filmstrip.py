"""What the transformer looks at while it learns: the paper's Figure 1.

Every so often the crops of a few fixed validation photos are kept as a small file of their own, so
that the strip grows on after an interruption; the pictures are drawn from those files.
"""

import zipfile
from pathlib import Path

import matplotlib.figure
import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw

from stn_jax.data.photo import to_image
from stn_jax.data.pipeline import Split
from stn_jax.drawing import MARK, MARK_COLOR, OUTLINE, outline_photo, show
from stn_jax.sampling import theta_to_box

_MAX_COLUMNS = 7
_MAX_PICTURES = 60
_PICTURE_MS, _PICTURE_WIDTH, _TITLE = 200, 240, 24


class Filmstrip:
    """Figure 1 of one run.

    Args:
      folder: the run's figures/; frames go into figures/frames/.
      split: the photos to choose from: the first of each class, then the second of each ...
      transform: family of theta, for the outline.
      synthetic: mark the pictures as SYNTHETIC.
      photos: how many to follow.

    Attributes:
      photos: the photos that are followed, [batch, height, width, channel] uint8.
    """

    def __init__(
        self, folder: Path, split: Split, *, transform: str, synthetic: bool, photos: int = 4
    ):
        self._folder = folder
        self._frames = folder / "frames"
        self._frames.mkdir(parents=True, exist_ok=True)
        places = _some_of_each_class(split.labels, photos)
        self.photos = np.stack([split[place]["photo"] for place in places])
        self._transform = transform
        self._mark = MARK if synthetic else ""

    @property
    def frames(self) -> list[Path]:
        """The frames kept so far, in the order of their steps."""
        return sorted(self._frames.glob("step-*.npz"))

    def drop_after(self, step: int) -> None:
        """Takes out the frames of steps after `step`, which a killed run left, and damaged ones."""
        for frame in self.frames:
            if _step_of(frame) > step or not _is_whole(frame):
                frame.unlink()

    def add(
        self, step: int, theta: Float[np.ndarray, "batch ..."], crops: Float[np.ndarray, "b h w c"]
    ) -> None:
        """Keeps what the transformer looks at after `step` steps: crops in pixels, 0 to 255."""
        np.savez_compressed(
            self._frames / f"step-{step:08d}.npz",
            theta=theta,
            crops=np.clip(crops, 0, 255).astype(np.uint8),
        )

    def draw(self) -> None:
        """Draws filmstrip.png and filmstrip.webp from the frames kept so far."""
        self._draw_strip()
        self._draw_animation()

    def _draw_strip(self) -> None:
        """A row a photo, a column a step, theta under each crop."""
        frames = _spread(self.frames, _MAX_COLUMNS)
        rows, columns = len(self.photos), len(frames) + 1
        height, width = self.photos.shape[1:3]
        figure = matplotlib.figure.Figure(
            figsize=(2.1 * columns, (2.1 * height / width + 0.5) * rows + 0.2),
            layout="constrained",
        )
        axes = figure.subplots(rows, columns, squeeze=False)
        last = dict(np.load(frames[-1]))
        for row in range(rows):
            outline_photo(axes[row, 0], self.photos[row], self._corners(last["theta"][row]))
            axes[row, 0].set_xlabel("area of interest at the end", fontsize=8)
        axes[0, 0].set_title(self._mark, fontsize=9, color=MARK_COLOR, weight="bold")
        for column, path in enumerate(frames, start=1):
            frame = dict(np.load(path))
            axes[0, column].set_title(f"step {_step_of(path)}", fontsize=9)
            for row in range(rows):
                show(axes[row, column], frame["crops"][row])
                axes[row, column].set_xlabel(
                    _matrix(frame["theta"][row]), fontsize=8, family="monospace"
                )
        figure.savefig(self._folder / "filmstrip.png", dpi=110)

    def _draw_animation(self) -> None:
        """A picture a step: photos with the area of interest above, their crops below."""
        frames = [self._draw_frame(path) for path in _spread(self.frames, _MAX_PICTURES)]
        frames[0].save(
            self._folder / "filmstrip.webp",
            save_all=True,
            append_images=frames[1:],
            duration=[*[_PICTURE_MS] * (len(frames) - 1), 4 * _PICTURE_MS],
            loop=0,
        )

    def _draw_frame(self, path: Path) -> Image.Image:
        frame = dict(np.load(path))
        height, width = self.photos.shape[1:3]
        size = (_PICTURE_WIDTH, round(_PICTURE_WIDTH * height / width))
        factor = size[0] / width
        picture = Image.new("RGB", (size[0] * len(self.photos), 2 * size[1] + _TITLE), "white")
        draw = ImageDraw.Draw(picture)
        draw.text((6, 4), f"step {_step_of(path)}", fill="black", font_size=14)
        draw.text((picture.width - 6, 4), self._mark, fill=MARK_COLOR, font_size=14, anchor="ra")
        for i, (photo, theta, crop) in enumerate(
            zip(self.photos, frame["theta"], frame["crops"], strict=True)
        ):
            left = i * size[0]
            picture.paste(_to_image(photo).resize(size), (left, _TITLE))
            picture.paste(_to_image(crop).resize(size), (left, _TITLE + size[1]))
            corners = np.clip(factor * self._corners(theta), 0, np.array(size) - 1)
            outline = [(left + x, _TITLE + y) for x, y in corners.tolist()]
            draw.polygon(outline, outline=OUTLINE, width=3)
        return picture

    def _corners(self, theta: Float[np.ndarray, "..."]) -> Float[np.ndarray, "4 2"]:
        size = self.photos.shape[1:3]
        return np.asarray(theta_to_box(theta[None], size, transform=self._transform))[0]


def _some_of_each_class(labels: np.ndarray, count: int) -> list[int]:
    """Places of the first photo of each class, then of the second of each, and so on."""
    by_class = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    ranked = [(rank, place) for places in by_class for rank, place in enumerate(places)]
    return [int(place) for _, place in sorted(ranked)[:count]]


def _spread(frames: list[Path], most: int) -> list[Path]:
    if len(frames) <= most:
        return frames
    return [frames[round(i)] for i in np.linspace(0, len(frames) - 1, most)]


def _step_of(frame: Path) -> int:
    return int(frame.stem.removeprefix("step-"))


def _is_whole(frame: Path) -> bool:
    """Whether a frame can be read; a power cut may have left half of one, or an empty file."""
    try:
        with zipfile.ZipFile(frame) as archive:
            return archive.testzip() is None
    except Exception:  # of damaged bytes anything can come
        return False


def _to_image(pixels: np.ndarray) -> Image.Image:
    return to_image(pixels).convert("RGB")


def _matrix(theta: Float[np.ndarray, "..."]) -> str:
    """The matrix in rows; nothing for the many displacements of a spline."""
    if theta.shape[-1] != 3:
        return ""
    # Adding 0 turns what is rounded to -0.00 into 0.00.
    rounded = np.round(theta.astype(np.float64), 2) + 0.0
    return "\n".join(" ".join(f"{value:5.2f}" for value in row) for row in rounded)
