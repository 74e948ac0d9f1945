"""Sixteen kinds of generated lesions, for configs/isic2016.py to start from.

A few hundred photos are too few to learn from what an irregular outline, a sharp border, several
colours and structure look like; generated ones show it in any number (stn_jax/data/lesions.py says
how). No real photo is behind these weights, and what they tell apart are no diagnoses.
Command: python train.py --config configs/lesions.py
Cost: about five minutes on two CPU cores, and 0.9 GB in the cache.
Expected: docs/results.md.
"""

import dataclasses
from pathlib import Path

from stn_jax.config import AugmentConfig, Config, DataConfig, SyntheticConfig, TrainConfig, load


def get_config() -> Config:
    """The network of configs/isic2016.py, its classifier one layer, on generated lesions."""
    isic2016 = load(Path(__file__).with_name("isic2016.py"))
    return Config(
        name="lesions",
        data=DataConfig(
            source="synthetic",
            photo_size=isic2016.data.photo_size,
            synthetic=SyntheticConfig(kind="lesions", train=10_000, val=480, test=800),
            augment=AugmentConfig(flip=True),
        ),
        # A hidden layer that is good for these kinds would be in the way of other classes.
        model=dataclasses.replace(isic2016.model, dense=()),
        train=TrainConfig(
            steps=5000,
            batch_size=32,
            learning_rate=3e-3,
            schedule="cosine",
            warmup_steps=100,
            weight_decay=0.01,
            clip_norm=1.0,
            localization_rate=0.1,
            eval_every=500,
            checkpoint_every=500,
            figure_every=1000,
        ),
    )
