"""Photo files for the tests of the page."""

import io

from PIL import Image

from stn_jax.data.synthetic import generate_photo

PHOTO_SIZE = (60, 90)


def pixels(index, *, size=PHOTO_SIZE):
    return generate_photo(index, size=size, seed=5).photo


def encode(array, kind="JPEG", **options):
    content = io.BytesIO()
    Image.fromarray(array).save(content, format=kind, **options)
    return content.getvalue()


def part(content, name="a.jpg"):
    """A file as Flask's test client takes it."""
    return io.BytesIO(content), name
