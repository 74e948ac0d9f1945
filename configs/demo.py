"""The zoom, seen working in minutes: generated photos of 126x189, crops of 42x63.

The two classes differ only in fine texture inside a lesion of 3-12 % of the photo, at a random
place; shrunk to the crop's size little of the texture is left, so that a network that does not zoom
learns next to nothing in the same time.
Command: python train.py --config configs/demo.py
Cost: about a minute on two CPU cores.
"""

from stn_jax.config import (
    AugmentConfig,
    Config,
    DataConfig,
    ModelConfig,
    SyntheticConfig,
    TrainConfig,
)


def get_config() -> Config:
    """A heat-map localization net that learns from two glimpses a photo where to look."""
    return Config(
        name="demo",
        data=DataConfig(
            source="synthetic",
            photo_size=(126, 189),
            synthetic=SyntheticConfig(train=2000, val=200, test=600),
            augment=AugmentConfig(flip=True),
        ),
        model=ModelConfig(
            crop_size=(42, 63),
            transform="attention",
            antialias=True,
            head="heatmap",
            view_shrink=3,
            localization_channels=(16, 16),
            scale=0.4,
            scale_bounds=(0.8, 1.2),
            keep_inside=True,
            channels=((16, 16), (32,), (64,)),
            dense=(),
            batch_norm=True,
            global_pool=True,
        ),
        train=TrainConfig(
            steps=300,
            batch_size=16,
            learning_rate=3e-3,
            schedule="cosine",
            warmup_steps=50,
            clip_norm=1.0,
            localization_rate=0.33,
            glimpses=2,
            eval_every=100,
            checkpoint_every=100,
            figure_every=50,
        ),
    )
