"""Probabilities that mean what they say: one temperature, fitted on validation photos only.

Source: Guo, Pleiss, Sun and Weinberger 2017, "On calibration of modern neural networks".
"""

import numpy as np
from jaxtyping import Float, Int
from scipy import optimize

TEMPERATURES = (0.05, 20.0)
"""Bounds of the fit. A model that is always right would otherwise go to 0."""


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

    In 1 / temperature the likelihood is convex, so the least found is the least there is.

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

    def loss(inverse: float) -> float:
        return float(np.mean(np.log(np.exp(inverse * logits).sum(axis=1)) - inverse * own))

    bounds = (1 / TEMPERATURES[1], 1 / TEMPERATURES[0])
    found = optimize.minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-9})
    return 1 / float(found.x)


def _logits(raw: Float[np.ndarray, "photo label"]) -> Float[np.ndarray, "photo label"]:
    return np.log(np.maximum(raw.astype(np.float64), np.finfo(np.float64).tiny))
