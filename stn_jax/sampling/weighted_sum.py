"""Sums of weighted pixels, and their derivatives in an order that compiles to quick loops.

The functions of x and y here are about memory and vectors only: JAX differentiates the weights, and
what is written out is when pixels are read and how the products with them are added up. Measured on
XLA's CPU backend by benchmarks/sampler.py.
"""

import functools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Float, Int, Real

from stn_jax.sampling.interpolation import Taps

# Up to so many channels are written out where a gradient adds them up.
FEW_CHANNELS = 4

# So many photos are scattered side by side on a CPU, if together they have at most so many bytes.
MOST_TOGETHER = 8
CACHE = 4 << 20


def take(
    pixels: Real[Array, "batch pixels channels"], index: Int[Array, "batch height width"]
) -> Real[Array, "batch height width channels"]:
    """Pixels by their index, which must be in bounds, in their own type."""
    return jax.vmap(lambda pixels, index: _in_bounds(pixels.at[index]))(pixels, index)


def _take_channel(pixels, index, channel):
    return jax.vmap(lambda pixels, index: _in_bounds(pixels.at[index, channel]))(pixels, index)


def _in_bounds(at):
    return at.get(mode="promise_in_bounds", wrap_negative_indices=False)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def weighted_sum(
    taps: Callable[..., Taps],
    pixels: Real[Array, "batch pixels channels"],
    x: Float[Array, "batch height width"],
    y: Float[Array, "batch height width"],
    constants: Sequence[Array] = (),
) -> Float[Array, "batch height width channels"]:
    """Sums the pixels around each position, each times its weight, in float32 or better.

    Pixels are converted after they are read: an image of bytes is never converted whole.

    Args:
      taps: gives the taps for x, y and the constants.
      pixels: images, row by row.
      x: positions, in whatever unit `taps` takes.
      y: the same.
      constants: what else the taps depend on; carries no gradient.
    """
    return _read(taps, pixels, x, y, constants)


def _read(taps, pixels, x, y, constants):
    weights, indices = taps(x, y, *constants)
    return _sum([take(pixels, index) for index in indices], [w[..., None] for w in weights])


@functools.partial(weighted_sum.defjvp, symbolic_zeros=True)
def _weighted_sum_jvp(taps, primals, tangents):
    pixels, x, y, constants = primals
    pixels_dot, x_dot, y_dot, _ = tangents
    out = weighted_sum(taps, pixels, x, y, constants)
    out_dot = jnp.zeros((), out.dtype)
    # Read again, the pixels need no memory in between, which on a CPU costs more than the reads.
    pixels, x, y, constants = lax.optimization_barrier((pixels, x, y, constants))
    if not (isinstance(x_dot, SymbolicZero) and isinstance(y_dot, SymbolicZero)):
        out_dot = out_dot + _moved(taps, pixels, x, y, constants, _complex(x_dot, y_dot))
    if not isinstance(pixels_dot, SymbolicZero):
        out_dot = out_dot + _changed(taps, pixels_dot, x, y, constants)
    return out, out_dot


def _moved(taps, pixels, x, y, constants, move):
    """Change of a weighted sum when its positions move.

    A move is one complex number, x + iy: its transpose, the gradient of the positions, then is one
    array, for which XLA's CPU backend makes one loop that reads each pixel once.
    """
    slopes, indices = _slopes(lambda x, y: taps(x, y, *constants), x, y)
    channels = pixels.shape[-1]
    if channels > FEW_CHANNELS:
        slope = _sum([take(pixels, index) for index in indices], [s[..., None] for s in slopes])
        return jnp.real(slope * move[..., None])
    # XLA's CPU backend takes many times as long to reduce an axis of length 3 as to add up three.
    of_channel = (
        _sum([_take_channel(pixels, index, channel) for index in indices], slopes)
        for channel in range(channels)
    )
    return jnp.stack([jnp.real(slope * move) for slope in of_channel], axis=-1)


def _slopes(taps, x, y):
    """Derivatives of the weights by a move, of which the product with it has the change as real."""
    one, zero = jnp.ones_like(x), jnp.zeros_like(x)
    _, along_x, indices = jax.jvp(taps, (x, y), (one, zero), has_aux=True)
    _, along_y, _ = jax.jvp(taps, (x, y), (zero, one), has_aux=True)
    return [lax.complex(a, -b) for a, b in zip(along_x, along_y, strict=True)], indices


def _sum(pixels, weights):
    return sum(tap * weight for tap, weight in zip(pixels, weights, strict=True))


def _complex(x_dot, y_dot):
    x_dot, y_dot = (
        jnp.zeros(dot.shape, dot.dtype) if isinstance(dot, SymbolicZero) else dot
        for dot in (x_dot, y_dot)
    )
    return lax.complex(x_dot, y_dot)


def _changed(taps, pixels, x, y, constants):
    """Change of a weighted sum when its pixels change; its transpose scatters.

    On a CPU in small groups: what is scattered then stays in the cache and needs no fresh memory.
    """
    return lax.platform_dependent(
        (pixels, x, y, constants),
        cpu=lambda photos: _group_by_group(taps, photos),
        default=lambda photos: _read(taps, *photos),
    )


def _group_by_group(taps, photos):
    """Reads as `_read` does, in a loop over groups of photos.

    XLA's CPU backend scatters with one core, but several scatters of one iteration side by side.
    """
    leaves, structure = jax.tree.flatten(photos)
    count = leaves[0].shape[0]
    together = _photos_together(leaves[0])

    @functools.partial(jax.checkpoint, prevent_cse=False)
    def one(*photo):
        return _read_in_fours(taps, *jax.tree.unflatten(structure, photo))

    def group(leaves):
        single = [lax.split(leaf, [1] * together) for leaf in leaves]
        return jnp.concatenate([one(*photo) for photo in zip(*single, strict=True)])

    groups = [leaf.reshape(count // together, together, *leaf.shape[1:]) for leaf in leaves]
    read = lax.map(group, groups)
    return read.reshape(count, *read.shape[2:])


def _read_in_fours(taps, pixels, x, y, constants):
    """Reads as `_read` does, but so that colours are scattered quickly.

    To add four floats takes XLA's CPU backend a third of the time that three take. To drop the
    fourth again pays where a photo is read at a third as many positions as it has pixels, or more.
    """
    _, count, channels = pixels.shape
    if channels != 3 or 3 * x.size < count:
        return _read(taps, pixels, x, y, constants)
    fours = jnp.pad(pixels, ((0, 0), (0, 0), (0, 1)))
    return _read(taps, fours, x, y, constants)[..., :3]


def _photos_together(pixels):
    """How many photos a group has: a divisor of their number, and one where photos are large."""
    count, *of_photo = pixels.shape
    if MOST_TOGETHER * math.prod(of_photo) * pixels.dtype.itemsize > CACHE:
        return 1
    return max(size for size in range(1, MOST_TOGETHER + 1) if count % size == 0)


@jax.custom_jvp
def set_apart(
    x: Float[Array, "batch height width"], y: Float[Array, "batch height width"]
) -> tuple[Float[Array, "batch height width"], Float[Array, "batch height width"]]:
    """Returns x and y; their gradient is computed before anything else computes with it.

    XLA's CPU backend would otherwise read the pixels once more for each use of the gradient.
    """
    return x, y


@set_apart.defjvp
def _set_apart_jvp(primals, tangents):
    def row_by_row(move):
        # A loop is what XLA does not fuse with what reads its result. JAX would drop the loop but
        # for the factor.
        rows = lax.map(lambda row: 1.0 * row, jnp.swapaxes(move, 0, 1))
        return jnp.swapaxes(rows, 0, 1)

    move = lax.complex(*tangents)
    move = lax.platform_dependent(move, cpu=row_by_row, default=lambda move: move)
    return set_apart(*primals), (jnp.real(move), jnp.imag(move))
