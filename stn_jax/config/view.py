"""The small view of the photo that the localization net sees."""

import math

from stn_jax.config.errors import ConfigError

_SIDE = 70


def natural_view_shrink(photo_size: tuple[int, int]) -> int:
    """The common divisor of both sides that leaves the short one nearest to 70 pixels (in ratio).

    For the paper's 630x945 it is 9, and the localization net sees 70x105.
    """
    ideal = min(photo_size) / _SIDE
    common = math.gcd(*photo_size)
    divisors = [factor for factor in range(1, common + 1) if common % factor == 0]
    return min(divisors, key=lambda factor: abs(math.log(factor / ideal)))


def checked_view_shrink(
    photo_size: tuple[int, int],
    chosen: int | None,
    *,
    poolings: int,
    size: str = "photo size",
    option: str = "view_shrink",
) -> int:
    """The side of the blocks of a photo whose means are what the localization net sees.

    Args:
      photo_size: height and width, in pixels.
      chosen: that side; None: the natural one.
      poolings: of 2x2, in the localization net.
      size: what a message calls the photo size.
      option: what a message calls the choice.

    Raises:
      ConfigError: the photo cannot be averaged to a view of a useful size.
    """
    height, width = photo_size
    if chosen is not None and chosen < 1:
        raise ConfigError(f"{option} {chosen} must be at least 1")
    shrink = chosen or natural_view_shrink(photo_size)
    if height % shrink or width % shrink:
        raise ConfigError(
            f"{size} {height} {width} is not divisible by {option} {shrink}: "
            f"the localization net sees the photo averaged over {shrink}x{shrink} blocks. Use a "
            f"photo size that is a multiple of {shrink}, such as {_multiples(photo_size, shrink)}, "
            "or another view shrink"
        )
    if chosen is None and min(photo_size) // shrink > 2 * _SIDE:
        factor = round(min(photo_size) / _SIDE)
        raise ConfigError(
            f"{size} {height} {width} is not divisible by a whole factor that leaves a "
            f"small view (about {_SIDE} pixels) for the localization net. Use a photo size "
            f"such as {_multiples(photo_size, factor)}, or choose {option}"
        )
    least = 2**poolings
    if min(photo_size) // shrink < least:
        raise ConfigError(
            f"{size} {height} {width} shrunk by {shrink} is too small a view for the "
            f"localization net: its poolings need at least {least} pixels a side. Use a larger "
            f"photo size or a smaller {option}"
        )
    return shrink


def _multiples(size: tuple[int, int], factor: int) -> str:
    return " ".join(str(max(1, round(side / factor)) * factor) for side in size)
