"""Benign against malignant: dermoscopic photos of ISIC 2016, part 3, in small.

Source: Gutman et al. 2016, "Skin Lesion Analysis toward Melanoma Detection", arXiv:1605.01397; the
photos are public (CC0). They are close-ups through a dermatoscope, mostly centred, so there is less
to zoom into than in the paper's photos, and no number on them says anything about psoriasis or
eczema. What differs from derm.py is what a few hundred photos need: small photos, a small
classifier with batch normalisation, mirrored and turned photos, classes drawn equally often, and a
zoom that cannot leave the photo. docs/results.md says how much of it helped.
Command: python train.py --config configs/isic2016.py --data.root FOLDER (benign/, malignant/ in it)
Better, after configs/lesions.py, from its weights: the same with --train.init-from runs/lesions
Cost: about three minutes on two CPU cores; two from those weights.
Expected: docs/results.md.
"""

import dataclasses
from typing import Annotated

import tyro

from stn_jax.config import AugmentConfig, Config, DataConfig, ModelConfig, TrainConfig


def get_config(
    init_from: Annotated[str | None, tyro.conf.arg(name="train.init-from")] = None,
) -> Config:
    """An attention crop of a third of the photo's size; regularised for a small, unbalanced set.

    Args:
      init_from: workdir of configs/lesions.py to start from. What was learned there is changed
        with care: a tenth of the rate, half the steps, and a classifier that is one layer.
    """
    config = _from_nothing()
    if init_from is None:
        return config
    return dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, dense=()),
        train=dataclasses.replace(
            config.train,
            init_from=init_from,
            steps=1000,
            eval_every=1000,
            learning_rate=3e-4,
            weight_decay=0.3,
        ),
    )


def _from_nothing() -> Config:
    return Config(
        name="isic2016",
        data=DataConfig(
            default_root="data/isic2016",
            # cut to 4:3, because bars around the 60 photos of 3:2 would say that all are benign
            photo_size=(144, 192),
            fit="crop",
            # 124 malignant photos in all: a larger share than 0.15, or the test says nothing
            val_size=0.2,
            test_size=0.2,
            # four of five photos are benign
            balance="sample",
            augment=AugmentConfig(
                flip=True,
                rotate=180.0,  # a lesion has no upper side
                scale=0.1,
            ),
        ),
        model=ModelConfig(
            crop_size=(48, 64),
            transform="attention",
            antialias=True,
            keep_inside=True,
            scale=0.9,
            scale_bounds=(0.3, 1.1),
            channels=((16,), (32,), (64,), (64,)),
            dense=(64,),
            dropout=0.2,
            batch_norm=True,
            global_pool=True,
            global_statistics=True,
            global_blocks=3,
        ),
        train=TrainConfig(
            steps=2000,
            batch_size=16,
            learning_rate=3e-3,
            schedule="cosine",
            warmup_steps=100,
            weight_decay=0.05,
            clip_norm=1.0,
            localization_rate=0.1,
            # the last weights: photos are ranked better and better while the loss, which punishes
            # certainty, rises again
            eval_every=2000,
            checkpoint_every=200,
            figure_every=400,
        ),
    )
