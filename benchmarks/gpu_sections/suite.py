"""The project's own tests of what runs on the device, on the device.

JAX multiplies float32 matrices as TF32 where the chip can; the tests compare with exact values, so
here it multiplies them as they are. Kernels are not tuned: that would take most of the time.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.gpu_sections.outcomes import OPTION
from benchmarks.gpu_sections.report import Row
from benchmarks.gpu_sections.running import ROOT
from benchmarks.gpu_sections.scale import Scale
from benchmarks.gpu_sections.tasks import Task, TimeLeft

MOST_PROCESSES = 8


def tasks(scale: Scale, time_left: TimeLeft) -> Iterator[Task]:
    """All in one run: every start takes as long as many tests, and what is done counts anyway."""
    yield Task(", ".join(scale.test_files), lambda: run(scale.test_files, time_left()), least=0)


def run(files: Sequence[str], seconds: float) -> Row:
    """Runs the tests of files and folders, as many as there is time for; counts them."""
    with tempfile.TemporaryDirectory() as folder:
        outcomes = Path(folder) / "outcomes.jsonl"
        command = [sys.executable, "-m", "pytest", *files, "-p", "no:cacheprovider", "-q"]
        command += ["-p", "benchmarks.gpu_sections.outcomes", f"{OPTION}={outcomes}"]
        # A file that cannot be imported must not keep the others from running.
        command += ["-m", "not slow", "--continue-on-collection-errors", *_options()]
        try:
            code = subprocess.run(command, cwd=ROOT, env=_environment(), timeout=seconds).returncode
            ending = {}
        except subprocess.TimeoutExpired:
            ending = {"left_out": f"what did not fit into {seconds:.0f} s"}
        if outcomes.exists():
            return count(outcomes) | ending
        why = f"pytest ended with status {code} and ran nothing; see gpu.log"
        return ending or {"failed": why}


def count(outcomes: Path) -> Row:
    """Reads what the plugin has written; a test can fail twice, in itself and in clearing up."""
    ends: dict[str, set[str]] = {}
    for line in map(json.loads, outcomes.read_text().splitlines()):
        ends.setdefault(line["test"], set()).add(line["outcome"])
    broken = [test for test, outcome in ends.items() if "failed" in outcome]
    skipped = sum(outcome == {"skipped"} for outcome in ends.values())
    row: Row = {"passed": len(ends) - len(broken) - skipped, "skipped": skipped}
    if broken:
        row |= {"failed": f"{len(broken)} of {len(ends)} tests", "failed_tests": broken}
    return row


def _options() -> list[str]:
    """Without the checks of types where their package is not there; in parallel where that is."""
    options = [] if importlib.util.find_spec("beartype") else ["--override-ini=addopts="]
    if importlib.util.find_spec("xdist"):
        options.append(f"--numprocesses={min(MOST_PROCESSES, os.cpu_count() or 1)}")
    return options


def _environment() -> dict[str, str]:
    return {
        **os.environ,
        "JAX_DEFAULT_MATMUL_PRECISION": "highest",
        # The tests have a cache of their own.
        "JAX_ENABLE_COMPILATION_CACHE": "true",
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_autotune_level=0".strip(),
        # Several processes share the device.
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }
