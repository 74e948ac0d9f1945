from collections.abc import Callable
from pathlib import Path

import pytest
from made_photos import encode, make_pixels


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """Writes photos, all different: `make_folder({"a": 3, "b": 4})` returns their root."""

    def make(counts: dict[str, int], root: Path = tmp_path / "photos", *, first: int = 0) -> Path:
        seed = first
        for folder, count in counts.items():
            (root / folder).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                (root / folder / f"{number:03d}.png").write_bytes(encode(make_pixels(seed)))
                seed += 1
        return root

    return make
