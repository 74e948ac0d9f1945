"""Predictions of a model that is known, and a run that is evaluated, for everything after that."""

import shutil

import numpy as np
import pytest

import stn_jax
from stn_jax.evaluation import geometry
from stn_jax.evaluation.calibration import softmax
from stn_jax.evaluation.table import make_table

PHOTO_SIZE = (126, 189)


@pytest.fixture
def make_predictions():
    """Makes a table of n photos with everything known: groups, areas, lesions, metadata."""

    def make(n=200, *, classes=("eczema", "psoriasis"), seed=0, sharpness=2.0, prefix="photo"):
        key = np.random.default_rng(seed)
        label = np.arange(n) % len(classes)
        logits = key.normal(size=(n, len(classes))) + sharpness * np.eye(len(classes))[label]
        raw = softmax(logits * 2)
        middle = key.uniform(0.3, 0.7, size=(n, 2)) * PHOTO_SIZE[::-1]
        half = key.uniform(0.15, 0.25, size=(n, 1)) * PHOTO_SIZE[::-1]
        boxes = np.concatenate([middle - half, middle + half], axis=1)
        area = np.stack([geometry.box_corners(box) for box in boxes]) if n else np.zeros((0, 4, 2))
        lesion = np.concatenate([middle - 12, middle + 12], axis=1) + key.normal(size=(n, 1)) * 10
        inside = [geometry.lesion_overlap(a, b)[0] for a, b in zip(area, lesion, strict=True)]
        theta = np.zeros((n, 6))
        theta[:, [0, 4]] = half / (np.array(PHOTO_SIZE[::-1]) / 2)
        theta[:, [2, 5]] = middle / (np.array(PHOTO_SIZE[::-1]) / 2) - 1
        return make_table(
            classes=classes,
            file=[f"{classes[c]}/{prefix}{i:04d}.jpg" for i, c in enumerate(label)],
            label=label,
            raw=raw,
            group=np.array([f"patient{i // 2}" for i in range(n)], object),
            theta=theta,
            area=area,
            lesion=lesion,
            lesion_inside=np.array(inside, np.float64),
            baselines={
                "centre": np.where(key.uniform(size=n) < 0.6, label, 0),
                "whole": np.where(key.uniform(size=n) < 0.3, label, 1),
            },
            metadata={"site": tuple("arm" if i % 3 else "leg" for i in range(n))},
        )

    return make


@pytest.fixture(scope="package")
def evaluated(trained, tmp_path_factory):
    """A workdir with its evaluation; not to be changed."""
    workdir = tmp_path_factory.mktemp("evaluated") / "run"
    shutil.copytree(trained, workdir)
    stn_jax.evaluate(workdir)
    return workdir


@pytest.fixture
def copy(evaluated, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(evaluated, workdir)
    return workdir
