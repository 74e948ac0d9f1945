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

from stn_jax.sampling.groups import largest_divisor
from stn_jax.sampling.interpolation import Run

# Up to so many channels are written out where a gradient adds them up.
FEW_CHANNELS = 4

# Few channels a CPU scatters at so many positions at a time: those of as many photos as have them,
# or of one.
POSITIONS = 1 << 16

# Many channels it scatters in so many photos side by side, if they have at most so many bytes.
MOST_TOGETHER = 8
CACHE = 4 << 20

# So many numbers an int32 can count.
COUNTABLE = 1 << 31


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
    find_runs: Callable[..., list[Run]],
    pixels: Real[Array, "batch pixels channels"],
    x: Float[Array, "batch height width"],
    y: Float[Array, "batch height width"],
    constants: Sequence[Array] = (),
) -> Float[Array, "batch height width channels"]:
    """Sums the pixels around each position, each times its weight, in float32 or better.

    Pixels are converted after they are read: an image of bytes is never converted whole.

    Args:
      find_runs: gives the runs of pixels to read for x, y and the constants.
      pixels: images, row by row.
      x: positions, in whatever unit `find_runs` takes.
      y: the same.
      constants: what else the runs depend on; carries no gradient.
    """
    return _read(find_runs, pixels, x, y, constants)


def _read(find_runs, pixels, x, y, constants):
    weights, indices = _taps(find_runs(x, y, *constants))
    return _sum([take(pixels, index) for index in indices], [w[..., None] for w in weights])


def _taps(runs):
    """Weight and index of every single pixel of the runs."""
    weights = [weight for run in runs for weight in run.weights]
    indices = [run.start + place for run in runs for place in range(len(run.weights))]
    return weights, indices


@functools.partial(weighted_sum.defjvp, symbolic_zeros=True)
def _weighted_sum_jvp(find_runs, primals, tangents):
    pixels, x, y, constants = primals
    pixels_dot, x_dot, y_dot, _ = tangents
    out = weighted_sum(find_runs, pixels, x, y, constants)
    out_dot = jnp.zeros((), out.dtype)
    # Read again, the pixels need no memory in between, which on a CPU costs more than the reads.
    pixels, x, y, constants = lax.optimization_barrier((pixels, x, y, constants))
    if not (isinstance(x_dot, SymbolicZero) and isinstance(y_dot, SymbolicZero)):
        out_dot = out_dot + _moved(find_runs, pixels, x, y, constants, _complex(x_dot, y_dot))
    if not isinstance(pixels_dot, SymbolicZero):
        # Its transpose adds all that is sent to a pixel; in bfloat16 small parts would vanish.
        pixels_dot = pixels_dot.astype(jnp.promote_types(pixels_dot.dtype, jnp.float32))
        out_dot = out_dot + _changed(find_runs, pixels_dot, x, y, constants)
    return out, out_dot


def _moved(find_runs, pixels, x, y, constants, move):
    """Change of a weighted sum when its positions move.

    A move is one complex number, x + iy: its transpose, the gradient of the positions, then is one
    array, for which XLA's CPU backend makes one loop that reads each pixel once.
    """

    def taps(x, y):
        return _taps(find_runs(x, y, *constants))

    one = jnp.ones_like(x)
    _, along_x, indices = jax.jvp(lambda x: taps(x, y), (x,), (one,), has_aux=True)
    _, along_y, _ = jax.jvp(lambda y: taps(x, y), (y,), (one,), has_aux=True)
    slopes = list(zip(along_x, along_y, strict=True))
    channels = pixels.shape[-1]
    if channels > FEW_CHANNELS:
        slope = _sum(
            [take(pixels, index) for index in indices],
            [lax.complex(dx, -dy)[..., None] for dx, dy in slopes],
        )
        return jnp.real(slope * move[..., None])
    # XLA's CPU backend takes many times as long to reduce an axis of length 3 as to add up three.
    # The weights change first: the transpose then is, for every pixel read, one product with the
    # crop's gradient, of which x and y have their shares.
    to_right, down = jnp.real(move), jnp.imag(move)
    changes = [dx * to_right + dy * down for dx, dy in slopes]
    return jnp.stack(
        [
            _sum([_take_channel(pixels, index, channel) for index in indices], changes)
            for channel in range(channels)
        ],
        axis=-1,
    )


def _sum(pixels, weights):
    return sum(tap * weight for tap, weight in zip(pixels, weights, strict=True))


def _complex(x_dot, y_dot):
    x_dot, y_dot = (
        jnp.zeros(dot.shape, dot.dtype) if isinstance(dot, SymbolicZero) else dot
        for dot in (x_dot, y_dot)
    )
    return lax.complex(x_dot, y_dot)


def _changed(find_runs, pixels, x, y, constants):
    """Change of a weighted sum when its pixels change; its transpose scatters."""
    photos = (pixels, x, y, constants)
    return lax.platform_dependent(
        photos,
        cpu=lambda photos: _changed_on_a_cpu(find_runs, photos),
        default=lambda photos: _read_at_once(find_runs, *photos),
    )


def _read_at_once(find_runs, pixels, x, y, constants):
    """Reads as `_read` does, with one gather; the transpose is then one scatter, into one array."""
    weights, indices = _taps(find_runs(x, y, *constants))
    read = take(pixels, jnp.concatenate(indices, axis=1))
    return _sum(
        jnp.split(read, len(weights), axis=1),
        [weight[..., None] for weight in weights],
    )


def _changed_on_a_cpu(find_runs, photos):
    pixels, x, y, constants = photos
    if x.size == 0 or not 0 < pixels.size < COUNTABLE:
        return _read(find_runs, *photos)
    if pixels.shape[-1] > FEW_CHANNELS:
        return _side_by_side(find_runs, photos)
    return _in_place(pixels, find_runs(x, y, *constants))


def _in_place(pixels, runs):
    """Reads whole runs, whose pixels lie side by side, in a loop over groups of photos.

    The transpose scatters fewer and longer stretches, and adds them to the gradient of all photos
    where that lies, which is neither made nor copied photo by photo. XLA computes the weights,
    which the loop takes in, once and not for every number that they weigh.
    """
    count, *of_photo, channels = pixels.shape
    numbers = pixels.reshape(-1)
    first = jnp.arange(count, dtype=jnp.int32)[:, None, None] * math.prod(of_photo)
    runs = [Run((first + run.start) * channels, run.weights) for run in runs]
    _, *of_crop = runs[0].start.shape
    together = largest_divisor(count, POSITIONS // math.prod(of_crop))
    groups = jax.tree.map(lambda leaf: leaf.reshape(-1, together, *leaf.shape[1:]), runs)
    # Without a checkpoint JAX would stack copies of what the loop takes in, for its transpose.
    read_group = jax.checkpoint(functools.partial(_read_runs, channels), prevent_cse=False)
    _, read = lax.scan(lambda _, runs: (None, read_group(numbers, runs)), None, groups)
    return read.reshape(count, *of_crop, channels)


def _side_by_side(find_runs, photos):
    """Reads as `_read` does, in a loop over groups of photos.

    XLA's CPU backend scatters with one core, but several scatters of one iteration side by side,
    which pays where pixels have many channels.
    """
    leaves, structure = jax.tree.flatten(photos)
    count, *of_photo = leaves[0].shape
    of_group = MOST_TOGETHER * math.prod(of_photo) * leaves[0].dtype.itemsize
    together = largest_divisor(count, MOST_TOGETHER if of_group <= CACHE else 1)

    @functools.partial(jax.checkpoint, prevent_cse=False)
    def one(*photo):
        return _read(find_runs, *jax.tree.unflatten(structure, photo))

    def group(leaves):
        single = [lax.split(leaf, [1] * together) for leaf in leaves]
        return jnp.concatenate([one(*photo) for photo in zip(*single, strict=True)])

    groups = [leaf.reshape(-1, together, *leaf.shape[1:]) for leaf in leaves]
    read = lax.map(group, groups)
    return read.reshape(count, *read.shape[2:])


def _read_runs(channels, numbers, runs):
    """Sums the runs' pixels; a run starts at the place of its first number."""
    one_stretch = lax.GatherDimensionNumbers(
        offset_dims=(3,), collapsed_slice_dims=(), start_index_map=(0,)
    )
    mode = lax.GatherScatterMode.PROMISE_IN_BOUNDS
    total = 0.0
    for start, weights in runs:
        length = channels * len(weights)
        found = lax.gather(numbers, start[..., None], one_stretch, (length,), mode=mode)
        for number, weight in enumerate(weights):
            pixel = found[..., number * channels : (number + 1) * channels]
            total = total + pixel * weight[..., None]
    return total


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
