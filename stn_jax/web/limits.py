"""How much one request, and all of them together, may ask of the machine."""

import dataclasses

from stn_jax.config import ConfigError


@dataclasses.dataclass(frozen=True)
class Limits:
    """How much one request, and all of them together, may ask of the machine."""

    max_megabytes: float = 20.0
    """Refuse uploads larger than this, all photos of one request together."""
    max_photos: int = 8
    """Refuse requests with more photos than this."""
    queue: int = 64
    """Photos that may wait for the model, and requests in the house; more are sent away (503)."""
    time_limit: float = 30.0
    """Seconds until a request that is still waiting is given up (503)."""
    upload_limit: float = 120.0
    """Seconds in which an upload must have arrived."""

    def __post_init__(self):
        for field in dataclasses.fields(self):
            if not getattr(self, field.name) > 0:
                option = field.name.replace("_", "-")
                raise ConfigError(f"--limits.{option} {getattr(self, field.name)} must be positive")

    @property
    def max_bytes(self) -> int:
        """`max_megabytes` as bytes."""
        return int(self.max_megabytes * 1e6)
