"""The project's own tests of what runs on the device, on the device.

JAX multiplies float32 matrices as TF32 where the chip can; the tests compare with exact values, so
here it multiplies them as they are.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest  # noqa: F401 (so that its absence is said)

from benchmarks.gpu_sections.report import Row
from benchmarks.gpu_sections.running import ROOT
from benchmarks.gpu_sections.scale import Scale
from benchmarks.gpu_sections.tasks import Task, TimeLeft

MOST_PROCESSES = 8


def tasks(scale: Scale, time_left: TimeLeft) -> Iterator[Task]:
    """File by file, so that one that takes too long does not take the others with it."""
    for file in scale.test_files:
        yield Task(file, lambda file=file: run(file, time_left()))


def run(file: str, seconds: float) -> Row:
    """Runs the tests of a file or folder; counts them."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", file, "-p", "no:cacheprovider", "-q"]
        command += [f"--junitxml={report}", *_options()]
        try:
            code = subprocess.run(command, cwd=ROOT, env=_environment(), timeout=seconds).returncode
        except subprocess.TimeoutExpired:
            return {"failed": f"the tests took longer than the {seconds:.0f} s that were left"}
        if not report.exists():
            return {"failed": f"pytest ended with status {code} and ran nothing; see gpu.log"}
        return count(report)


def count(report: Path) -> Row:
    """Reads pytest's report."""
    cases = list(ElementTree.parse(report).iter("testcase"))
    broken = [
        case.get("name")
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    ]
    skipped = sum(case.find("skipped") is not None for case in cases)
    row: Row = {"passed": len(cases) - len(broken) - skipped, "skipped": skipped}
    if broken:
        row |= {"failed": f"{len(broken)} of {len(cases)} tests", "failed_tests": broken}
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
        # Several processes share the device.
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }
