"""Probabilities that mean what they say: one temperature, fitted on validation photos only.

Sources: Guo, Pleiss, Sun and Weinberger 2017, "On calibration of modern neural networks"; Platt
1999, "Probabilistic outputs for support vector machines" (targets that are never certain).
"""

import numpy as np
from jaxtyping import Float, Int
from scipy import optimize

TEMPERATURES = (0.05, 20.0)
"""Bounds of the fit."""


def softmax(logits: Float[np.ndarray, "photo label"]) -> Float[np.ndarray, "photo label"]:
    """Probabilities from logits, in float64, so that small ones do not become 0."""
    shifted = logits.astype(np.float64)
    shifted = np.exp(shifted - shifted.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def apply_temperature(
    raw: Float[np.ndarray, "photo label"], temperature: float
) -> Float[np.ndarray, "photo label"]:
    """Divides the logits behind `raw` probabilities by `temperature`; above 1 it is less sure.

    The logits are known only up to a constant a photo, and that is all softmax needs.
    """
    if temperature <= 0:
        raise ValueError(f"temperature {temperature} must be positive")
    return softmax(_logits(raw) / temperature)


def fit_temperature(
    labels: Int[np.ndarray, " photo"], raw: Float[np.ndarray, "photo label"]
) -> float:
    """The temperature with the least negative log-likelihood, within `TEMPERATURES`.

    The likelihood is that of n photos and two more, of which one is wrong (Platt's targets):
    without them a model that happens to be right about every photo would be called certain, and n
    photos are no ground for that. In 1 / temperature it is convex, so the least found is the least
    there is.

    Args:
      labels: true classes of validation photos.
      raw: their probabilities, as the model gives them.

    Raises:
      ValueError: without photos.
    """
    if not len(labels):
        raise ValueError("no validation photo to fit the temperature on")
    logits = _logits(raw)
    logits = logits - logits.max(axis=1, keepdims=True)
    own = logits[np.arange(len(labels)), labels]
    others = (logits.sum(axis=1) - own) / (logits.shape[1] - 1)
    doubt = 1 / (len(labels) + 2)
    target = (1 - doubt) * own + doubt * others

    def loss(inverse: float) -> float:
        return float(np.mean(np.log(np.exp(inverse * logits).sum(axis=1)) - inverse * target))

    bounds = (1 / TEMPERATURES[1], 1 / TEMPERATURES[0])
    found = optimize.minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-9})
    return 1 / float(found.x)


def _logits(raw: Float[np.ndarray, "photo label"]) -> Float[np.ndarray, "photo label"]:
    return np.log(np.maximum(raw.astype(np.float64), np.finfo(np.float64).tiny))
