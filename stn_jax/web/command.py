"""What `serve.py` does once its command line has been read."""

import os
import sys
from pathlib import Path

import numpy as np

from stn_jax.evaluation.predictor import Predictor, load_predictor
from stn_jax.training.errors import WorkdirError
from stn_jax.training.interrupts import StopSignal
from stn_jax.web.app import announce_stop, close_app, make_app
from stn_jax.web.evidence import read_evidence
from stn_jax.web.examples import make_examples
from stn_jax.web.limits import Limits
from stn_jax.web.security import Access, check_listening
from stn_jax.web.server import bind, listen, serve

TOKEN_VARIABLE = "STN_JAX_TOKEN"


def run(
    workdir: Path,
    *,
    host: str,
    port: int,
    token: str | None,
    insecure_no_token: bool,
    public_url: str | None,
    examples: Path | None,
    limits: Limits,
) -> None:
    """Serves a run until SIGTERM or Ctrl-C.

    Raises:
      ConfigError: options that cannot be, or a port that cannot be had.
      WorkdirError: a workdir without a usable model.
      DataError: examples that are not photos.
    """
    access = Access(token or os.environ.get(TOKEN_VARIABLE) or None, public_url, host)
    check_listening(access, insecure_no_token=insecure_no_token)
    with bind(host, port) as opened:
        predictor = load_predictor(workdir)
        warm_up(predictor)
        app = make_app(
            predictor,
            evidence=read_evidence(workdir, predictor.fingerprint),
            examples=make_examples(predictor, examples),
            access=access,
            limits=limits,
        )
        for note in predictor.notes:
            print(f"note: {note}", file=sys.stderr)
        name = f"[{host}]" if ":" in host else host
        with StopSignal() as stop, stop.deferred():
            server = listen(app, opened, limits=limits)
            print(f"serving on http://{name}:{opened.getsockname()[1]} (Ctrl-C stops)", flush=True)
            serve(server, stopping=lambda: stop.requested, on_stop=lambda: announce_stop(app))
        close_app(app)
    print("stopped")


def warm_up(predictor: Predictor) -> None:
    """Compiles the model, and sees that it answers with numbers.

    Raises:
      WorkdirError: when it does not.
    """
    channels = len(predictor.run.mean_color)
    grey = np.full((*predictor.run.config.data.photo_size, channels), 128, np.uint8)
    if not np.isfinite(predictor.read(grey[None]).raw).all():
        raise WorkdirError("the model answers with NaN: its training has diverged, train it again")
