"""How much one request, and all of them together, may ask of the machine."""

import dataclasses

from stn_jax.config import ConfigError

_MOST_QUEUE = 256
"""Twice as many connections may be open, and waitress watches them by `select`, which ends the
server at the 1024th open file."""
_MOST = {
    "max_megabytes": 1000,
    "max_photos": _MOST_QUEUE,
    "queue": _MOST_QUEUE,
    "time_limit": 86_400,
    "upload_limit": 86_400,
}


@dataclasses.dataclass(frozen=True)
class Limits:
    """How much one request, and all of them together, may ask of the machine."""

    max_megabytes: float = 20.0
    """Refuse uploads larger than this, all photos of one request together."""
    max_photos: int = 8
    """Refuse requests with more photos than this; at most as many as the queue takes."""
    queue: int = 64
    """Photos that may wait for the model, and requests under way (256 at most); 503 for more."""
    time_limit: float = 30.0
    """Seconds until a request that is still waiting is given up (503)."""
    upload_limit: float = 120.0
    """Seconds in which an upload must have arrived, and an answer must have been taken."""

    def __post_init__(self):
        for name, most in _MOST.items():
            value = getattr(self, name)
            if not 0 < value <= most:
                option = name.replace("_", "-")
                raise ConfigError(f"--limits.{option} {value} must be positive and at most {most}")
        if self.max_photos > self.queue:
            raise ConfigError(
                f"--limits.max-photos {self.max_photos} must be at most --limits.queue "
                f"{self.queue}: so many photos of one request could never wait for the model"
            )

    @property
    def max_bytes(self) -> int:
        """`max_megabytes` as bytes."""
        return int(self.max_megabytes * 1e6)

    @property
    def too_large(self) -> str:
        """What is said of a request of more bytes."""
        return f"That is more than {self.max_megabytes:g} MB at once."
