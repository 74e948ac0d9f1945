import copy
import json
import math
from pathlib import Path

import pytest

import stn_jax.config
from stn_jax.config import (
    AugmentConfig,
    Config,
    ConfigError,
    DataConfig,
    ModelConfig,
    ScinConfig,
    SyntheticConfig,
    TrainConfig,
    ZoomScheduleConfig,
)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"data": DataConfig(photo_size=(631, 945))}, r"631 945 is not divisible.*such as 630 945"),
        ({"data": DataConfig(photo_size=(0, 945))}, "both must be positive"),
        ({"data": DataConfig(source="synthetic", photo_size=(18, 27))}, "at least 24 pixels"),
        ({"model": ModelConfig(view_shrink=0)}, "at least 1"),
        ({"model": ModelConfig(view_shrink=4)}, "630 945 is not divisible by --model.view-shrink"),
        ({"model": ModelConfig(view_shrink=315)}, "poolings need at least 4 pixels"),
        ({"model": ModelConfig(crop_size=(8, 315))}, "4 poolings need at least 16 pixels"),
        ({"model": ModelConfig(transform="centre", crop_size=(700, 315))}, "no larger than"),
        (
            {"model": ModelConfig(transform="centre", head="heatmap")},
            "heatmap needs a learned --model.transform, not centre",
        ),
        ({"model": ModelConfig(scale_bounds=(1.1, 1.2), head="heatmap")}, "below and above 1"),
        (
            {"model": ModelConfig(keep_inside=True)},
            "--model.keep-inside needs --model.head heatmap or --model.transform attention",
        ),
        ({"model": ModelConfig(transform="tps", scale=0.5)}, "--model.scale needs"),
        (
            {"model": ModelConfig(control_points=6)},
            "--model.control-points needs --model.transform tps; without, give the default: "
            "--model.control-points 4$",
        ),
        (
            {"model": ModelConfig(scale=0.9, scale_bounds=(0.3, 1.1), keep_inside=True)},
            "--model.scale, --model.scale-bounds, --model.keep-inside need .*; without, give "
            "the default: --model.scale 1.0 --model.scale-bounds 0.1 1.25 --model.no-keep-inside$",
        ),
        ({"train": TrainConfig(explore=0.5)}, "--train.explore needs --train.glimpses"),
        (
            {
                "model": ModelConfig(transform="attention"),
                "train": TrainConfig(zoom_schedule=ZoomScheduleConfig(low=0.3)),
            },
            "--train.zoom-schedule.low needs --train.zoom-schedule.steps",
        ),
        (
            {"train": TrainConfig(zoom_schedule=ZoomScheduleConfig(low=0.5))},
            "--train.zoom-schedule.low 0.5 must be at most high-from and high-to",
        ),
        (
            {"train": TrainConfig(zoom_schedule=ZoomScheduleConfig(release=-3))},
            "--train.zoom-schedule.release -3 must be at least 0",
        ),
        ({"train": TrainConfig(glimpses=4)}, "--train.glimpses needs --model.head heatmap"),
        (
            {"model": ModelConfig(head="heatmap"), "train": TrainConfig(glimpses=4)},
            "--train.glimpses needs --model.transform attention",
        ),
        (
            {
                "model": ModelConfig(head="heatmap"),
                "train": TrainConfig(zoom_schedule=ZoomScheduleConfig(steps=9)),
            },
            "--train.zoom-schedule.steps needs --model.transform attention",
        ),
        ({"train": TrainConfig(glimpses=-1)}, "--train.glimpses -1 must be at least 0"),
        ({"train": TrainConfig(explore=0.0)}, "--train.explore 0.0 must be above 0"),
        ({"train": TrainConfig(localization_freeze=-1)}, "freeze -1 must be at least 0"),
        ({"model": ModelConfig(oversample=0)}, "--model.oversample 0 must be at least 1"),
        ({"model": ModelConfig(control_points=1)}, "--model.control-points 1 must be at least 2"),
        ({"model": ModelConfig(scale=0.0)}, "--model.scale 0.0 must be above 0"),
        ({"train": TrainConfig(learning_rate=-1e-3)}, "learning-rate -0.001 must be at least 0"),
        ({"train": TrainConfig(learning_rate=math.nan)}, "rate nan must be at least 0 and finite"),
        ({"train": TrainConfig(clip_norm=math.inf)}, "clip-norm inf must be above 0 and finite"),
        ({"train": TrainConfig(clip_norm=-1.0)}, "--train.clip-norm -1.0 must be above 0"),
        ({"train": TrainConfig(warmup_steps=-5)}, "--train.warmup-steps -5 must be at least 0"),
        ({"train": TrainConfig(seed=10**20)}, "--train.seed 1[0]* must .* 0 and below 2.63"),
        ({"train": TrainConfig(localization_freeze=2**31)}, "freeze 2147483648 .* below 2.31"),
        (
            {"train": TrainConfig(zoom_schedule=ZoomScheduleConfig(steps=9, release=2**31))},
            "--train.zoom-schedule.release 2147483648 must be at least 0 and below 2.31",
        ),
        (
            {"data": DataConfig(val_size=1e30)},
            "--data.val-size 1e[+]30 must be at least 0 and",
        ),
        (
            {"data": DataConfig(synthetic=SyntheticConfig(test=-1))},
            "--data.synthetic.test -1 must be at least 0",
        ),
        (
            {"model": ModelConfig(localization_channels=())},
            "--model.localization-channels must name at least one layer",
        ),
        ({"model": ModelConfig(dense=(0,))}, "--model.dense: every layer needs at least 1 unit"),
        ({"model": ModelConfig(channels=((4,), (0,)))}, "--model.channels: every layer"),
        (
            {"model": ModelConfig(scale_bounds=(0.5, math.inf), head="heatmap")},
            "--model.scale-bounds 0.5 inf",
        ),
        ({"train": TrainConfig(seed=-1)}, "--train.seed -1 must be at least 0"),
        (
            {"train": TrainConfig(zoom_schedule=ZoomScheduleConfig(low=0.0))},
            "--train.zoom-schedule.low 0.0 must be above 0",
        ),
        (
            {"data": DataConfig(test_size=2.5)},
            "--data.test-size 2.5 must be a share below 1 or a whole number of photos",
        ),
        (
            {"data": DataConfig(scin=ScinConfig(conditions=("Acne", "Psoriasis", "Acne")))},
            "--data.scin.conditions needs two or more different conditions",
        ),
        ({"data": DataConfig(val_size=math.nan)}, "--data.val-size nan must be at least 0"),
        (
            {
                "data": DataConfig(
                    source="mnist", photo_size=(28, 28), augment=AugmentConfig(hue=0.1)
                ),
                "model": ModelConfig(crop_size=(28, 28)),
            },
            "digits have no colour",
        ),
        (
            {"model": ModelConfig(global_statistics=True)},
            "--model.global-statistics and --model.global-blocks need --model.global-pool",
        ),
        ({"model": ModelConfig(global_blocks=2)}, "need --model.global-pool"),
        (
            {"model": ModelConfig(global_pool=True, global_blocks=5)},
            "--model.global-blocks 5 is more than the 4 blocks",
        ),
        ({"model": ModelConfig(global_blocks=0)}, "--model.global-blocks 0 must be at least 1"),
        ({"model": ModelConfig(dropout=1.0)}, r"--model.dropout 1.0 must be in \[0, 1\)"),
        ({"train": TrainConfig(accumulate=4)}, "15 cannot be computed in --train.accumulate 4"),
        ({"train": TrainConfig(keep_checkpoints=0)}, "--train.keep-checkpoints 0 must be at least"),
    ],
)
def test_what_cannot_work_is_refused(parts, message):
    with pytest.raises(ConfigError, match=message):
        Config(**parts)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 1}, "--data.folds 1 must be 0 or at least 2"),
        ({"folds": 5, "fold": 5}, "--data.fold 5 must be 0 or more, and below --data.folds"),
        ({"fold": 1}, "--data.fold 1 must be 0 or more, and below --data.folds"),
        ({"folds": 5, "source": "synthetic"}, "--data.folds cannot divide synthetic"),
    ],
)
def test_folds_that_cannot_be_made_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Config(data=DataConfig(**options))


@pytest.mark.parametrize(
    ("part", "option"),
    [
        ("data", "root"),
        ("data", "default_root"),
        ("data", "cache_dir"),
        ("train", "init_from"),
    ],
)
def test_folders_without_a_name_are_refused(part, option):
    with pytest.raises(ConfigError, match=rf"{option.replace('_', '-')} is empty: name a folder"):
        stn_jax.config.from_json(json.dumps({part: {option: ""}}))


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("data.balance", "samples", "--data.balance 'samples' must be one of none, sample"),
        (
            "data.photo_size",
            [630, 945],
            r"photo-size \[630, 945\] must be tuple\[int, int\]",
        ),
        ("data.cache_dir", Path("here"), "--data.cache-dir .* must be str"),
        ("model.channels", (4, 8), r"must be tuple\[tuple\[int, ...\], ...\]"),
        ("model.transform", "afine", "must be one of affine, attention"),
        ("train.remat", "no", "--train.remat 'no' must be bool"),
        ("train.steps", 2.0, "--train.steps 2.0 must be int"),
        ("train.learning_rate", True, "--train.learning-rate True must be float"),
        ("train.clip_norm", "1", r"--train.clip-norm '1' must be float \| None"),
    ],
)
def test_values_of_another_type_are_refused(option, value, message):
    part, name = option.split(".")
    config = Config()
    wrong = copy.copy(getattr(config, part))
    # Around the checks that only these tests add.
    object.__setattr__(wrong, name, value)
    object.__setattr__(config, part, wrong)
    with pytest.raises(ConfigError, match=message):
        stn_jax.config.check(config)
