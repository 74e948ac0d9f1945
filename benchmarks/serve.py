"""Does batching pay? Our server against a plain Flask handler, same model, same photos.

    python -m benchmarks.serve --workdir runs/demo

Both servers run as processes of their own and take turns, so that whatever else the machine does
hits both alike; the ratio of a pair of rounds is what counts. Every answer is compared with the
line that predict.py prints for the same file, and one difference or lost answer fails the run.
"""

import dataclasses
import http.client
import json
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import flask
import psutil
import tyro
import waitress
from PIL import Image
from rich.console import Console
from rich.table import Table

from stn_jax.data.synthetic import generate_photo
from stn_jax.evaluation.predictor import load_predictor

ROOT = Path(__file__).parents[1]
BOUNDARY = "benchmark"


@dataclasses.dataclass(frozen=True)
class Command:
    """Measure requests per second and latency at several numbers of clients."""

    workdir: Path
    """Folder of the run to serve."""
    clients: tuple[int, ...] = (1, 16, 50)
    """Numbers of clients that ask at the same time, each its next photo once it has an answer."""
    photos: int = 500
    """Photos in a round."""
    rounds: int = 3
    """Rounds of each server at each number of clients, taking turns."""
    photo_size: tuple[int, int] = (504, 756)
    """Height and width of the photos sent, in pixels."""
    plain: bool = False
    """Be the plain Flask server (for this program's own use)."""


@dataclasses.dataclass(frozen=True)
class Round:
    """What one server did with all photos once."""

    seconds: float
    latencies: list[float]
    megabytes: float

    @property
    def rate(self) -> float:
        """Photos a second."""
        return len(self.latencies) / self.seconds

    def latency(self, percent: int) -> float:
        """A percentile of the latencies, in milliseconds."""
        return 1000 * statistics.quantiles(self.latencies, n=100)[percent - 1]


def serve_plainly(workdir: Path) -> None:
    """The peer: one photo at a time, as a Flask tutorial would do it."""
    predictor, one_at_a_time = load_predictor(workdir), threading.Lock()
    app = flask.Flask(__name__)

    @app.post("/api/v1/predict")
    def predict() -> dict:
        file = flask.request.files["photo"]
        with one_at_a_time:
            answer = predictor.predict([file.read()], names=[file.filename])[0]
        return {"predictions": [answer.to_json()]}

    server = waitress.create_server(app, host="127.0.0.1", port=0, threads=64)
    print(f"serving on http://127.0.0.1:{server.effective_port}", flush=True)
    server.run()


def start(command: list[str]) -> tuple[subprocess.Popen, int]:
    """Starts a server; returns its process and port once it answers."""
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    for line in process.stdout:
        if found := re.search(r"http://[^ ]+:(\d+)", line):
            return process, int(found.group(1))
    raise SystemExit(f"{' '.join(command)} did not start")


def run_round(
    process: subprocess.Popen, port: int, files: list[Path], expected: list[dict], clients: int
) -> Round:
    """Sends every file once from `clients` threads, and checks every answer."""
    bodies = [_body(file) for file in files]
    places = iter(range(len(files)))
    guard = threading.Lock()
    latencies: list[float] = []

    def ask_until_done() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while True:
            with guard:
                place = next(places, None)
            if place is None:
                break
            began = time.perf_counter()
            connection.request("POST", "/api/v1/predict", body=bodies[place], headers=_HEADERS)
            response = connection.getresponse()
            answer = json.loads(response.read())
            latencies.append(time.perf_counter() - began)
            if answer.get("predictions") != [expected[place]]:
                raise SystemExit(f"{files[place].name}: {response.status} {answer}")
        connection.close()

    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        for done in [pool.submit(ask_until_done) for _ in range(clients)]:
            done.result()
    seconds = time.perf_counter() - began
    assert len(latencies) == len(files), "an answer was lost"
    return Round(seconds, latencies, psutil.Process(process.pid).memory_info().rss / 1e6)


_HEADERS = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def _body(file: Path) -> bytes:
    head = (
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; "
        f'name="photo"; filename="{file.name}"\r\n\r\n'
    )
    return head.encode() + file.read_bytes() + f"\r\n--{BOUNDARY}--\r\n".encode()


def make_photos(folder: Path, count: int, size: tuple[int, int]) -> list[Path]:
    """Writes generated photos as JPEG."""
    files = [folder / f"{index:04d}.jpg" for index in range(count)]
    for index, file in enumerate(files):
        Image.fromarray(generate_photo(index, size=size, seed=77).photo).save(file, quality=92)
    return files


def answers_of_predict(workdir: Path, files: list[Path]) -> list[dict]:
    """What predict.py prints, with the names that the page is told."""
    printed = subprocess.run(
        [sys.executable, "predict.py", "--workdir", str(workdir), *map(str, files)],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ).stdout
    answers = [json.loads(line) for line in printed.splitlines()]
    return [answer | {"file": Path(answer["file"]).name} for answer in answers]


def report(results: dict[int, tuple[list[Round], list[Round]]]) -> None:
    """Prints the medians over rounds, and the ratio of the rounds that followed each other."""
    table = Table(title="medians over rounds; memory after the last one")
    for name in ("clients", "server", "photos/s", "p50 ms", "p99 ms", "MB"):
        table.add_column(name, justify="right")
    for clients, pair in results.items():
        for name, rounds in zip(("stn_jax", "plain Flask"), pair, strict=True):
            rate = statistics.median(each.rate for each in rounds)
            half, most = (statistics.median(r.latency(p) for r in rounds) for p in (50, 99))
            numbers = (rate, half, most, rounds[-1].megabytes)
            table.add_row(str(clients), name, *(f"{number:.0f}" for number in numbers))
        ratios = [ours.rate / plain.rate for ours, plain in zip(*pair, strict=True)]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        table.add_row("", f"ratio {statistics.median(ratios):.2f} ({spread})", end_section=True)
    Console(width=100).print(table)


def main() -> None:
    command = tyro.cli(Command)
    if command.plain:
        serve_plainly(command.workdir)
        return
    workdir = command.workdir.resolve()
    with tempfile.TemporaryDirectory() as folder:
        files = make_photos(Path(folder), command.photos, command.photo_size)
        expected = answers_of_predict(workdir, files)
        ours = start(["serve.py", "--workdir", str(workdir), "--port", "0"])
        plain = start(["-m", "benchmarks.serve", "--workdir", str(workdir), "--plain"])
        try:
            for server in (ours, plain):
                run_round(*server, files[:50], expected[:50], 8)
            results = {}
            for clients in command.clients:
                pairs = [
                    [run_round(*server, files, expected, clients) for server in (ours, plain)]
                    for _ in range(command.rounds)
                ]
                results[clients] = tuple(map(list, zip(*pairs, strict=True)))
        finally:
            for process, _ in (ours, plain):
                process.terminate()
                process.wait()
    report(results)
    print(f"every answer of {command.photos} photos a round equals predict.py's; none was lost")


if __name__ == "__main__":
    main()
