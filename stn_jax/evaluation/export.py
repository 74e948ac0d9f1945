"""A trained model as files that need nothing of this project to run.

`model.stablehlo` is the compiled graph in StableHLO, as `jax.export` serialises it, for any number
of photos; `weights.npz` its arguments; `model.json` what else an answer needs.
"""

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import export as jax_export
from jaxtyping import Array, Float, PyTree, UInt8

from stn_jax.evaluation.predictor import Predictor
from stn_jax.evaluation.words import learned
from stn_jax.training.workdir import Run

Outputs = tuple[Float[Array, "photo label"], Float[Array, "photo *entries"]]

_PLATFORMS = ("cpu", "cuda", "tpu")
_FOR_ONNX = ("jax2onnx", "onnxruntime")
"""What writes the ONNX file, and what shows that it predicts the same."""
_TOLERANCE = 1e-4
"""Largest difference of a probability or entry of theta accepted from ONNX's other arithmetic."""
_README = """# An exported model

Runs with jax and numpy alone:

```python
import json, numpy as np, jax
from jax import export

graph = export.deserialize(bytearray(open("model.stablehlo", "rb").read()))
with np.load("weights.npz") as file:
    weights = [file[name] for name in sorted(file.files)]
model = json.load(open("model.json"))

# photos: uint8 {colors}, [n, {height}, {width}, {channels}]
probabilities, theta = graph.call(weights, photos)
```

`model.onnx`, where it was written, takes the same numbers as float32 (0 to 255), one photo a call.

Every photo must be prepared as those of the training were: made upright (as its EXIF orientation
says), {preparation}.
Bicubic is Pillow's, which filters what it shrinks; OpenCV's does not, and gives other answers.

`probabilities` are calibrated, in the order of `classes`. Answer only where the largest one is at
least `threshold`; where that is null, no answer has been shown to be reliable enough. For research
only, not for clinical decisions.
{origin}"""


_FITS = {
    "pad": "resized (bicubic) without distortion to fit into {height} rows of {width} pixels, and\n"
    "centred there on the colour {color}",
    "crop": "cut around its middle to the proportions {height}:{width}, and resized (bicubic) to\n"
    "{height} rows of {width} pixels",
    "stretch": "resized (bicubic) to {height} rows of {width} pixels, whatever its proportions",
}
_TURNED = {
    False: "turned a quarter counter-clockwise if it is higher than wide",
    True: "turned a quarter counter-clockwise if it is wider than high",
}


def export(predictor: Predictor, folder: Path) -> Iterator[str]:
    """Writes the model, and yields a line about each file.

    Args:
      predictor: the model.
      folder: made if absent.

    Raises:
      RuntimeError: when the ONNX file does not predict the same.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # One of an earlier export would lie beside other weights.
    (folder / "model.onnx").unlink(missing_ok=True)
    weights = [np.asarray(leaf) for leaf in jax.tree.leaves(predictor.variables)]
    (folder / "model.stablehlo").write_bytes(to_stablehlo(predictor))
    yield f"{folder / 'model.stablehlo'}: the graph, for {', '.join(_PLATFORMS)}"
    np.savez(folder / "weights.npz", **{f"{i:04d}": leaf for i, leaf in enumerate(weights)})
    yield f"{folder / 'weights.npz'}: {sum(w.size for w in weights):,} numbers"
    (folder / "model.json").write_text(json.dumps(_description(predictor), indent=2) + "\n")
    yield f"{folder / 'model.json'}: classes, threshold, and how photos are prepared"
    (folder / "README.md").write_text(_readme(predictor))
    yield f"{folder / 'README.md'}: how to run it"
    if not all(map(importlib.util.find_spec, _FOR_ONNX)):
        yield f"no ONNX file: pip install {' '.join(_FOR_ONNX)} to get one"
        return
    if predictor.run.config.train.precision != "float32":
        yield "no ONNX file: onnxruntime computes convolutions in float32 alone"
        return
    try:
        difference = to_onnx(predictor, folder / "model.onnx")
    except Exception:
        # Nobody should find a file that was not seen to answer alike.
        (folder / "model.onnx").unlink(missing_ok=True)
        raise
    yield f"{folder / 'model.onnx'}: within {difference:.1e} of the model's answers"


def to_stablehlo(predictor: Predictor) -> bytearray:
    """Serialises the graph: (weights, photos) -> (calibrated probabilities, theta)."""
    leaves, structure = jax.tree.flatten(predictor.variables)

    def answer(weights: list[Array], photos: UInt8[Array, "photo h w c"]) -> Outputs:
        return _answer(predictor, jax.tree.unflatten(structure, weights), photos)

    count = jax_export.symbolic_shape("photos")[0]
    photos = jax.ShapeDtypeStruct((count, *_photo_shape(predictor)), jnp.uint8)
    weights = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves]
    exported = jax_export.export(jax.jit(answer), platforms=_PLATFORMS)(weights, photos)
    return exported.serialize()


def to_onnx(predictor: Predictor, path: Path) -> float:
    """Writes ONNX for one photo a call, and compares it with the model on noise.

    Returns:
      The largest difference of a probability or an entry of theta.

    Raises:
      RuntimeError: when it is more than 1e-4.
    """
    import jax2onnx
    import onnxruntime

    shape = (1, *_photo_shape(predictor))

    def answer(photos: Float[Array, "photo h w c"]) -> Outputs:
        return _answer(predictor, predictor.variables, photos)

    with jax.numpy_rank_promotion("allow"):  # the converter's own layers need it
        jax2onnx.to_onnx(
            answer,
            [jax.ShapeDtypeStruct(shape, jnp.float32)],
            return_mode="file",
            output_path=str(path),
        )
    photos = np.random.default_rng(0).integers(0, 256, shape).astype(np.float32)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it warns of shapes that the converter wrote and it mends
    session = onnxruntime.InferenceSession(str(path), options)
    found = session.run(None, {session.get_inputs()[0].name: photos})
    wanted = jax.device_get(jax.jit(answer)(photos))
    difference = max(float(np.abs(a - b).max()) for a, b in zip(found, wanted, strict=True))
    if difference > _TOLERANCE:
        raise RuntimeError(
            f"{path}: its answers differ by {difference:.1e}, more than {_TOLERANCE:.0e}"
        )
    return difference


def _answer(predictor: Predictor, variables: PyTree, photos: Array) -> Outputs:
    logits, theta, _ = predictor.model.apply(variables, photos, train=False)
    return jax.nn.softmax(logits / predictor.answering.temperature), theta


def _photo_shape(predictor: Predictor) -> tuple[int, int, int]:
    height, width = predictor.run.config.data.photo_size
    return height, width, len(predictor.run.mean_color)


def _description(predictor: Predictor) -> dict:
    run = predictor.run
    return {
        "classes": run.classes,
        "threshold": predictor.answering.threshold,
        "photo_shape": _photo_shape(predictor),
        "crop_size": run.config.model.crop_size,
        "transform": predictor.model.transformer.family,
        "fit": run.config.data.fit,
        "rotate_to_fit": run.config.data.rotate_to_fit,
        "mean_color": run.mean_color,
        "source": run.data_name,
        "synthetic": run.synthetic,
        "learned_before": run.learned_before,
        "fingerprint": predictor.fingerprint,
        "step": predictor.step,
    }


def _readme(predictor: Predictor) -> str:
    height, width, channels = _photo_shape(predictor)
    data = predictor.run.config.data
    color = ", ".join(f"{value:.0f}" for value in predictor.run.mean_color)
    preparation = _FITS[data.fit].format(height=height, width=width, color=color)
    if data.rotate_to_fit and height != width:
        preparation = f"{_TURNED[height > width]}, {preparation}"
    return _README.format(
        preparation=preparation,
        colors="grey" if channels == 1 else "sRGB",
        height=height,
        width=width,
        channels=channels,
        origin=_origin(predictor.run),
    )


def _origin(run: Run) -> str:
    """What a reader must know of the photos that the weights learned from; mostly nothing."""
    if run.synthetic:
        return "\nSYNTHETIC: trained on generated photos; its answers mean nothing about skin.\n"
    if run.learned_before:
        return f"\nBefore its own photos, it had learned from {learned(run.learned_before)}.\n"
    return ""
