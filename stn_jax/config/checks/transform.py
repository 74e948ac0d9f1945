"""Which options go with which transform and which head."""

import math

from stn_jax.config.checks.unused import check_unused
from stn_jax.config.errors import ConfigError
from stn_jax.config.options import ModelConfig, TrainConfig, ZoomScheduleConfig


def check_transform(model: ModelConfig, train: TrainConfig) -> None:
    """Refuses what the transform cannot do, and options that it never reads."""
    _check_head(model)
    _check_glimpses(model, train)
    _check_drawn_scales(model, train)
    _check_unread(model, train)
    _check_zoom_schedule(train.zoom_schedule)
    _check_scale_bounds(model)


def _check_head(model: ModelConfig) -> None:
    if model.head == "heatmap" and model.transform in ("identity", "centre"):
        raise ConfigError(
            f"--model.head heatmap needs a learned --model.transform, not {model.transform}"
        )


def _check_glimpses(model: ModelConfig, train: TrainConfig) -> None:
    if train.glimpses and model.head != "heatmap":
        raise ConfigError("--train.glimpses needs --model.head heatmap")
    if train.glimpses and model.transform != "attention":
        raise ConfigError("--train.glimpses needs --model.transform attention")
    if not 0 < train.explore <= 1:
        raise ConfigError(f"--train.explore {train.explore} must be above 0 and at most 1")


def _check_drawn_scales(model: ModelConfig, train: TrainConfig) -> None:
    if train.zoom_schedule.steps and model.transform != "attention":
        raise ConfigError("--train.zoom-schedule.steps needs --model.transform attention")


def _check_unread(model: ModelConfig, train: TrainConfig) -> None:
    if model.transform in ("affine", "projective", "tps") and model.head == "dense":
        names, needed = ("scale", "scale_bounds", "keep_inside"), "--model.head heatmap or "
        check_unused(model, "model", names, f"{needed}--model.transform attention")
    if model.transform != "tps":
        check_unused(model, "model", ("control_points",), "--model.transform tps")
    if not train.glimpses:
        check_unused(train, "train", ("explore",), "--train.glimpses")


def _check_zoom_schedule(schedule: ZoomScheduleConfig) -> None:
    if schedule.low > min(schedule.high_from, schedule.high_to):
        raise ConfigError(
            f"--train.zoom-schedule.low {schedule.low} must be at most high-from and high-to"
        )
    if not schedule.steps:
        names = ("high_from", "high_to", "low", "jitter", "release")
        check_unused(schedule, "train.zoom_schedule", names, "--train.zoom-schedule.steps")


def _check_scale_bounds(model: ModelConfig) -> None:
    low, high = model.scale_bounds
    if not 0 < low < 1 < high < math.inf:
        raise ConfigError(f"--model.scale-bounds {low} {high} must be below and above 1")
