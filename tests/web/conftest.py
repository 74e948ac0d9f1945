"""A small model that is certain of some photos and not of others, and a server around it."""

import contextlib
import dataclasses
import json
import shutil
import threading
from pathlib import Path

import jax
import numpy as np
import pytest
from photo_files import PHOTO_SIZE, encode, pixels

from stn_jax.config import Config, DataConfig, ModelConfig, TrainConfig
from stn_jax.data.synthetic import CLASSES
from stn_jax.evaluation.decision import decide
from stn_jax.evaluation.predictor import load_predictor
from stn_jax.evaluation.summary import summarise
from stn_jax.evaluation.table import make_table
from stn_jax.evaluation.written import METRICS
from stn_jax.models import make_model
from stn_jax.training.checkpoint import CheckpointStore
from stn_jax.training.state import init_state, make_optimizer
from stn_jax.training.workdir import Run, start_or_resume
from stn_jax.web.app import announce_stop, close_app, make_app
from stn_jax.web.evidence import read_evidence
from stn_jax.web.examples import make_examples
from stn_jax.web.limits import Limits
from stn_jax.web.server import bind, listen, serve

CONFIG = Config(
    data=DataConfig(source="synthetic", photo_size=PHOTO_SIZE),
    model=ModelConfig(
        crop_size=(20, 30),
        transform="attention",
        antialias=True,
        head="heatmap",
        view_shrink=3,
        localization_channels=(4,),
        scale=0.4,
        keep_inside=True,
        channels=((8,), (8,)),
        dense=(),
        global_pool=True,
    ),
    train=TrainConfig(batch_size=8),
)


@pytest.fixture(scope="session")
def silent_workdir(tmp_path_factory):
    """A run that has not been evaluated, so it gives no answers."""
    return _make_run(tmp_path_factory.mktemp("web") / "silent", (180.0, 140.0, 120.0))


@pytest.fixture(scope="session")
def grey_workdir(tmp_path_factory):
    """A run of one-channel images, such as digits."""
    return _make_run(tmp_path_factory.mktemp("web") / "grey", (40.0,))


def _make_run(workdir, mean_color):
    run = Run(
        config=CONFIG,
        classes=CLASSES,
        mean_color=mean_color,
        data_name="SYNTHETIC",
        data_fingerprint="5e" * 32,
    )
    start_or_resume(workdir, run)
    model = make_model(CONFIG.model, num_classes=len(CLASSES), mean_color=run.mean_color)
    optimizer = make_optimizer(CONFIG.train)
    channels = len(mean_color)
    state = init_state(model, optimizer, photo_size=PHOTO_SIZE, num_channels=channels, seed=0)
    # Logits far enough apart to tell photos from each other.
    variables = jax.tree.map(lambda leaf: leaf * 2, state.variables)
    store = CheckpointStore(workdir / "best", keep=1)
    store.save(1, variables, {})
    store.wait()
    store.close()
    return workdir


@pytest.fixture(scope="session")
def workdir(silent_workdir, tmp_path_factory):
    """The same run, evaluated on made-up truths: right where it is sure, guessing where not."""
    workdir = tmp_path_factory.mktemp("web") / "answering"
    shutil.copytree(silent_workdir, workdir)
    predictor = load_predictor(workdir)
    validation, test = (_made_up_table(predictor, first, 120) for first in (0, 120))
    decision = decide(validation)
    metrics = summarise(
        decision.apply(test), decision=decision, validation=decision.apply(validation), repeats=20
    )
    metrics["model"] = {"fingerprint": predictor.fingerprint}
    (workdir / METRICS).parent.mkdir()
    (workdir / METRICS).write_text(json.dumps(metrics))
    return workdir


def _made_up_table(predictor, first, count):
    raw = predictor.read(np.stack([pixels(first + i) for i in range(count)])).raw
    confidence, label = raw.max(axis=1), raw.argmax(axis=1)
    unsure = np.argsort(confidence)[: count // 2]
    label[unsure[::2]] = 1 - label[unsure[::2]]
    files = [f"{first + i}.png" for i in range(count)]
    return make_table(classes=CLASSES, file=files, label=label, raw=raw)


@pytest.fixture(scope="session")
def predictor(workdir):
    return load_predictor(workdir)


@pytest.fixture(scope="session")
def silent_predictor(silent_workdir):
    return load_predictor(silent_workdir)


@pytest.fixture(scope="session")
def evidence(workdir, predictor):
    return read_evidence(workdir, predictor.fingerprint)


@pytest.fixture
def build(predictor, evidence):
    """Makes applications, and closes them."""
    with contextlib.ExitStack() as stack:

        def build(**options):
            options = {"evidence": evidence, "examples": make_examples(predictor)} | options
            app = make_app(options.pop("predictor", predictor), **options)
            stack.callback(close_app, app)
            return app

        yield build


@pytest.fixture
def client(build):
    return build().test_client()


@dataclasses.dataclass
class Live:
    """A server on a port of its own."""

    port: int
    stop: threading.Event
    thread: threading.Thread

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def go_live():
    """Serves applications from threads, and stops them."""
    with contextlib.ExitStack() as stack:

        def go_live(app, limits=None):
            opened, stop = bind("127.0.0.1", 0), threading.Event()
            server = listen(app, opened, limits=limits or Limits())
            options = {"stopping": stop.is_set, "on_stop": lambda: announce_stop(app)}
            thread = threading.Thread(target=serve, args=(server,), kwargs=options)
            thread.start()
            stack.callback(thread.join, 20)
            stack.callback(stop.set)
            return Live(opened.getsockname()[1], stop, thread)

        yield go_live


@pytest.fixture
def live(build, go_live):
    return go_live(build())


@pytest.fixture(scope="session")
def photo():
    """The content of a photo file."""
    return encode(pixels(401))


@pytest.fixture(scope="session")
def certain_and_not(predictor):
    """Contents of a photo that the model answers, and of one of which it is not certain."""
    found = {}
    for index in range(400, 500):
        content = encode(pixels(index), "PNG")
        found.setdefault(predictor.predict([content])[0].label is not None, content)
        if len(found) == 2:
            return found[True], found[False]
    raise AssertionError("the made-up evaluation should leave some photos without an answer")


@pytest.fixture
def artifacts():
    folder = Path(__file__).parents[2] / "artifacts" / "web"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
