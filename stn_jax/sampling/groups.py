"""How many of a batch are computed at once."""


def largest_divisor(number: int, most: int) -> int:
    """The largest divisor of a positive number that is at most `most`, or 1."""
    return max(size for size in range(1, max(1, min(number, most)) + 1) if number % size == 0)
