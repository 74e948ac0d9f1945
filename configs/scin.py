"""The paper's question on public photos: psoriasis against eczema in Google's SCIN.

Source: the settings of configs/derm.py, sentence by sentence; the photos are those of Ward et al.
2024 (arXiv:2402.18545), donated by the people on them and labelled by dermatologists from the photo
alone. docs/data.md says how to get them and what their licence asks.
Command: python train.py --config configs/scin.py --data.root SCIN
Cost: as configs/derm.py, about 3 s a step on two CPU cores, and the augmentation.
Expected: not measured here. The paper's 67.3 % came from a hospital's photos and does not carry
over.
"""

from stn_jax.config import AugmentConfig, Config, DataConfig, ModelConfig, ScinConfig, TrainConfig


def get_config() -> Config:
    """The paper's values; what differs from configs/derm.py says why."""
    return Config(
        name="scin",
        data=DataConfig(
            source="scin",
            default_root="data/scin",
            scin=ScinConfig(conditions=("Eczema", "Psoriasis"), min_weight=0.5),
            photo_size=(630, 945),
            # phones are held upright more often than not, and the photo size is landscape
            rotate_to_fit=True,
            # the release has photos that appear twice: its README, "Known issues"
            duplicates="drop",
            # eczema is far more frequent than psoriasis
            balance="sample",
            # any side up and any light; the paper's settings have no such changes
            augment=AugmentConfig(
                flip=True, right_angles=True, brightness=0.1, contrast=0.1, saturation=0.1
            ),
        ),
        model=ModelConfig(
            crop_size=(210, 315),
            transform="affine",
            antialias=False,
            head="dense",
            channels=((64, 64), (64, 64), (128, 128, 128), (256, 256, 256)),
            dense=(2048, 2058),
            dropout=0.5,
        ),
        train=TrainConfig(
            steps=10_000,
            batch_size=15,
            learning_rate=1e-5,
            eval_every=250,
            patience=10,
            checkpoint_every=250,
        ),
    )
