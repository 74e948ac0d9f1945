"""Distorted MNIST, with and without the transformer: table 1 of the paper that introduced it.

Source: Jaderberg et al. 2015, "Spatial Transformer Networks", arXiv:1506.02025, section 4.1 and
appendix A.4. As there: the tasks, the batch, no dropout, a localization net of 20 feature maps and
20 units on the image shrunk by 2, crops of RTS and TC sampled at twice their size and averaged, and
equally many weights with the transformer and without. Ours: the classifier (3x3 convolutions with
batch normalisation), the localization net's second convolution (3x3 instead of 5x5), and Adam for
thousands of steps instead of SGD for 150,000.
Command: python train.py --config configs/distorted_mnist.py --data.root MNIST --task RTS
(--model.transform identity: the same classifier on the whole image)
Cost: 96 CPU seconds for 1,200 steps of 128 with the affine transformer (RTS), 132 without.
Expected: the default schedule is not measured. After 1,200 steps of 128, 2.2 % of the test digits
are wrong for RTS (2.15 % without the transformer), 2.7 % for TC (1.8 % without): docs/results.md.
"""

from typing import Annotated, Literal

import tyro

from stn_jax.config import MNIST_SIZES, Config, DataConfig, MnistConfig, ModelConfig, TrainConfig

WEIGHTS = 400_000
"""Of every network, within half a percent."""
_UNITS = {(28, 28): (522, 563), (42, 42): (487, 205), (60, 60): (402, 105)}
"""Of the classifier's dense layer with and without a transformer, by the size of the images."""


def get_config(
    task: Annotated[
        Literal["R", "RTS", "P", "E", "TC"], tyro.conf.arg(aliases=["--data.mnist.task"])
    ] = "RTS",
    transform: Annotated[
        Literal["affine", "attention", "projective", "tps", "identity"],
        tyro.conf.arg(name="model.transform"),
    ] = "affine",
) -> Config:
    """A classifier of 28x28 crops, or of whole images, that is wide enough for WEIGHTS in all.

    Args:
      task: the distortion (--task); sizes follow from it.
      transform: family of the learned map; identity is the network without a transformer.
    """
    size = MNIST_SIZES[task]
    learned = transform != "identity"
    return Config(
        name=f"mnist-{task}-{transform}",
        data=DataConfig(
            source="mnist",
            default_root="data/mnist",
            photo_size=size,
            val_size=5000.0,
            mnist=MnistConfig(task=task),
        ),
        model=ModelConfig(
            crop_size=(28, 28) if learned else size,
            transform=transform,
            oversample=2 if learned and task in ("RTS", "TC") else 1,
            view_shrink=2,
            localization_channels=(20, 20),
            localization_units=20,
            channels=((16,), (32, 32), (64, 64)),
            dense=_UNITS[size][:1] if learned else _UNITS[size][1:],
            dropout=0.0,
            batch_norm=True,
        ),
        train=TrainConfig(
            steps=4000,
            batch_size=256,
            learning_rate=5e-3,
            schedule="cosine",
            warmup_steps=100,
            eval_every=500,
            checkpoint_every=500,
            figure_every=500,
            log_every=50,
        ),
    )
