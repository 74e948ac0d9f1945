"""Everything that a GPU must show of stn_jax, in one command and a given time.

    python benchmarks/gpu.py --minutes 8 --out DIR

Sections run one after another, the most important first, each in a process of its own; what one
finds is in DIR/gpu.json as soon as it is found, so a kill keeps what is done. What the sections'
programs print is in DIR/gpu.log. A section that would not fit into the time that is left is left
out; it, and any that cannot run or fails, says why in the JSON and on the screen.

    paper       the paper's 10,000 batches of 15 photos at full size, by `stn_jax.train`, bfloat16
    step        time of a step and share of the chip's peak, by precision and by way of dispatch
    torch_step  the same network in torch, eager and compiled, in turns with ours
    sampler     crops and gradients, against torch's grid_sample and the bound of the memory
    memory      what a step needs at batch 15, and the largest batch that fits
    resume      whether a resumed run equals an uninterrupted one, bit by bit
    suite       the project's tests of the sampler, the networks and the step, on the GPU

Only the first of several GPUs (of CUDA_VISIBLE_DEVICES, where that is set) is used. The exit status
is 0 when every section ran, 1 when not, 2 when there is no GPU or the command is wrong. `--tiny`
runs every section at small sizes on whatever JAX finds, a CPU too: it shows that the script works,
and its numbers mean nothing.

Needs jax with its GPU plugin, flax, optax, orbax-checkpoint, jaxtyping, numpy, scipy, pillow, rich
and matplotlib. `paper` and `resume` need the input pipeline, too: grain, array-record,
tensorflow-datasets and tensorboardX with what these depend on; `suite` needs pytest, hypothesis and
what the tested modules need; `torch_step` needs torch, and `sampler` compares with it where it is
installed. docs/gpu.md says how to take them to a machine without a package index.
"""

import argparse
import datetime
import signal
import sys
import time
from pathlib import Path
from typing import Any, TextIO

# Found when this file is run by its path, too, where nothing of the project is installed.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.gpu_sections.report import Report
from benchmarks.gpu_sections.running import Running
from benchmarks.gpu_sections.schedule import Section, allow
from stn_jax.training.workdir import current_revision

SECTIONS = (
    Section("paper", least=180, share=6),
    Section("step", least=50, share=3),
    Section("torch_step", least=50, share=3),
    Section("sampler", least=30, share=1),
    Section("memory", least=40, share=1),
    Section("resume", least=80, share=1),
    Section("suite", least=40, share=1),
)
STARTING_SECONDS = 150
"""Longest that finding out what the machine is may take."""


class NoGpuError(Exception):
    """There is nothing to measure on."""


def find_machine(log: TextIO, *, tiny: bool) -> dict[str, Any]:
    """Says what JAX runs on.

    Raises:
      NoGpuError: where there is no GPU, unless `tiny`.
    """
    running = Running("machine", seconds=STARTING_SECONDS, tiny=tiny, log=log)
    rows = list(running.rows())
    if running.status != "ran":
        raise NoGpuError(f"JAX does not start: {running.reason}")
    machine = rows[0]
    if machine["platform"] != "gpu" and not tiny:
        raise NoGpuError(
            f"JAX finds no GPU, only {machine['device']}: install jax[cuda13] (older cards: "
            "jax[cuda12]) and see that nvidia-smi works; or try the script itself with --tiny"
        )
    return machine


def run(
    sections: list[Section],
    report: Report,
    *,
    until: float,
    log: TextIO,
    tiny: bool,
    platforms: str | None = None,
) -> bool:
    """Runs the sections that fit; True when all of them ran.

    Args:
      sections: the most important first.
      report: where it is written.
      until: end of the time, on the monotonic clock.
      log: for what programs print.
      tiny: small sizes.
      platforms: on which of JAX's platforms alone the sections may run; None: on any.
    """
    report.wait_for(section.name for section in sections)
    for place, section in enumerate(sections):
        left = until - time.monotonic()
        seconds = allow(sections[place:], left)
        if seconds is None:
            reason = f"needs {section.least:.0f} s, and {max(left, 0):.0f} s are left"
            report.leave_out(section.name, reason)
            continue
        running = Running(section.name, seconds=seconds, tiny=tiny, log=log, platforms=platforms)
        report.start(section.name, seconds)
        for row in running.rows():
            report.add(section.name, row)
        report.finish(section.name, running.status, running.reason)
    return report.complete


def parse() -> argparse.Namespace:
    names = [section.name for section in SECTIONS]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=8, help="time for all (default 8)")
    parser.add_argument("--out", type=Path, required=True, help="folder for gpu.json and gpu.log")
    parser.add_argument("--tiny", action="store_true", help="small sizes, on a CPU too")
    parser.add_argument(
        "--sections", nargs="+", choices=names, default=names, help="only these (default: all)"
    )
    options = parser.parse_args()
    if not options.minutes > 0:
        parser.error(f"--minutes {options.minutes} must be positive")
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--out {options.out} cannot be used: {error.strerror}")
    return options


def main() -> int:
    options = parse()
    until = time.monotonic() + 60 * options.minutes
    # So that the section that runs is ended, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with open(options.out / "gpu.log", "w") as log:
        try:
            machine = find_machine(log, tiny=options.tiny)
        except NoGpuError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        report = Report(
            options.out / "gpu.json",
            started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            revision=current_revision(),
            minutes=options.minutes,
            tiny=options.tiny,
            machine=machine,
        )
        sections = [
            section.shrunk() if options.tiny else section
            for section in SECTIONS
            if section.name in options.sections
        ]
        complete = run(
            sections,
            report,
            until=until,
            log=log,
            tiny=options.tiny,
            # Without it, a section in which CUDA does not start would be measured on the CPU.
            platforms="cuda,cpu" if machine["driver"] and machine["platform"] == "gpu" else None,
        )
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())
