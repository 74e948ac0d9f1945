"""Distorted MNIST, with and without the transformer: table 1 of the paper that introduced it.

Source: Jaderberg et al. 2015, "Spatial Transformer Networks", arXiv:1506.02025, section 4.1 and
appendix A.4. As there: the tasks, no dropout, a localization net of 20 feature maps and
20 units on the image shrunk by 2, crops of RTS and TC sampled at twice their size and averaged, and
equally many weights with the transformer and without. Ours: the classifier (3x3 convolutions with
batch normalisation), the localization net's second convolution (3x3 instead of 5x5), Adam for
thousands of steps instead of SGD for 150,000, and the heat map: a crop of about the digit's size at
its centre, sampled once, which all families but attention then turn, stretch or bend.
The dense localization net learns at a tenth of the rate: at the full rate all digits got one map.
Command: python train.py --config configs/distorted_mnist.py --data.root MNIST --task RTS
(--model.transform identity: the same classifier on the whole image; --model.head dense: the
localization net of the source)
Cost in CPU seconds: 280 to 390 with affine, 190 to 210 with attention, 150 to 270 with a dense
head; without, 140 (P: 230, RTS: 270, TC: 540). Four times as much with --train.steps 9600.
Expected, in % of the test digits wrong (docs/results.md), after 9600 steps: RTS affine 0.5,
projective 0.6, tps 0.6, without 0.9; P affine, projective and tps 0.7, without 0.9; R affine,
projective and tps 0.6, without 0.8; E affine, projective and, with a dense head, tps 0.8, without
0.9. After the 2400 of this file: RTS affine 0.7, attention 0.9, without 1.4; TC affine 0.9,
attention 1.1, without 1.2; R affine 0.9, without 1.1; P affine 0.9, without 1.1; E affine 1.1,
without 1.2; with a dense head RTS affine 1.1, projective 0.9, tps 1.1; TC affine 1.9.
"""

import dataclasses
from typing import Annotated, Literal

import tyro

from stn_jax.config import MNIST_SIZES, Config, DataConfig, MnistConfig, ModelConfig, TrainConfig

WEIGHTS = 400_000
"""Of every network, within half a percent."""
_DENSE_HEAD_UNITS = {(28, 28): 522, (42, 42): 487, (60, 60): 402}
_WHOLE_IMAGE_UNITS = {(28, 28): 563, (42, 42): 205, (60, 60): 105}
"""Units of the classifier's dense layer by the size of the images: with a dense localization net,
and without a transformer."""
_HEATMAP_UNITS = {"affine": 512, "attention": 556, "projective": 512, "tps": 511}
"""The same with a heat map, by the family of the map."""
_HEATMAP_SCALE = {(28, 28): 1.0, (42, 42): 0.75, (60, 60): 0.5}
"""Of a crop about as large as the largest digit, by the size of the images."""


def get_config(
    task: Annotated[
        Literal["R", "RTS", "P", "E", "TC"], tyro.conf.arg(aliases=["--data.mnist.task"])
    ] = "RTS",
    transform: Annotated[
        Literal["affine", "attention", "projective", "tps", "identity"],
        tyro.conf.arg(name="model.transform"),
    ] = "affine",
    head: Annotated[Literal["dense", "heatmap"] | None, tyro.conf.arg(name="model.head")] = None,
) -> Config:
    """A classifier of 28x28 crops, or of whole images, that is wide enough for WEIGHTS in all.

    Args:
      task: the distortion (--task); sizes follow from it.
      transform: family of the learned map; identity is the network without a transformer.
      head: what gives theta; by default a heat map, where anything is learned.
    """
    if head is None:
        head = "dense" if transform == "identity" else "heatmap"
    return Config(
        name=f"mnist-{task}-{transform}",
        data=DataConfig(
            source="mnist",
            default_root="data/mnist",
            photo_size=MNIST_SIZES[task],
            val_size=5000.0,
            mnist=MnistConfig(task=task),
        ),
        model=_model(task, transform, head),
        train=TrainConfig(
            steps=2400,
            batch_size=128,
            learning_rate=5e-3,
            schedule="cosine",
            warmup_steps=100,
            clip_norm=1.0,
            localization_rate=0.33 if head == "heatmap" else 0.1,
            eval_every=400,
            checkpoint_every=400,
            figure_every=400,
            log_every=50,
        ),
    )


def _model(task: str, transform: str, head: str) -> ModelConfig:
    """The network for a task, with WEIGHTS weights."""
    size = MNIST_SIZES[task]
    model = ModelConfig(
        crop_size=(28, 28),
        transform=transform,
        head=head,
        view_shrink=2,
        localization_channels=(20, 20),
        localization_units=20,
        channels=((16,), (32, 32), (64, 64)),
        dropout=0.0,
        batch_norm=True,
    )
    if transform == "identity":
        return dataclasses.replace(model, crop_size=size, dense=(_WHOLE_IMAGE_UNITS[size],))
    if head == "heatmap":
        return dataclasses.replace(
            model,
            scale=_HEATMAP_SCALE[size],
            scale_bounds=(0.8, 1.2),
            keep_inside=True,
            dense=(_HEATMAP_UNITS[transform],),
        )
    return dataclasses.replace(
        model, oversample=2 if task in ("RTS", "TC") else 1, dense=(_DENSE_HEAD_UNITS[size],)
    )
