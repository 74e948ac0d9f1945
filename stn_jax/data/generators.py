"""The kinds of generated photos, by the names that `data.synthetic.kind` takes."""

import dataclasses
import hashlib
import types
from collections.abc import Mapping
from pathlib import Path

from stn_jax.data import lesions, painting, synthetic
from stn_jax.data.synthetic import SyntheticPhoto

_MODULES: Mapping[str, types.ModuleType] = {"texture": synthetic, "lesions": lesions}


@dataclasses.dataclass(frozen=True)
class Generator:
    """One kind of generated photos.

    Attributes:
      kind: its name.
      size: height and width of the photos, in pixels.
      seed: names the set of photos.
    """

    kind: str
    size: tuple[int, int]
    seed: int

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the labels; photo number i is of class i modulo their count."""
        return _MODULES[self.kind].CLASSES

    @property
    def code_hash(self) -> str:
        """Of the code that makes the photos: other code, other photos."""
        files = [module.__file__ for module in (painting, synthetic, _MODULES[self.kind])]
        return hashlib.sha256(b"".join(Path(file).read_bytes() for file in files)).hexdigest()

    def __call__(self, index: int) -> SyntheticPhoto:
        """Generates the photo of this number."""
        return _MODULES[self.kind].generate_photo(index, size=self.size, seed=self.seed)
