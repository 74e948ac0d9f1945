"""The one command for a GPU, tried at tiny sizes on whatever is there."""

import dataclasses
import itertools
import json
import os
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import psutil
import pytest

from benchmarks.gpu import SECTIONS
from benchmarks.gpu_sections import machine, memory, paper, peaks, resume, sampler, step, suite
from benchmarks.gpu_sections.report import Report
from benchmarks.gpu_sections.running import ROOT, Running
from benchmarks.gpu_sections.scale import FULL, MATMUL_PRECISIONS, TINY
from benchmarks.gpu_sections.schedule import Section, allow
from benchmarks.gpu_sections.tasks import CannotRunError, Task, answer
from benchmarks.gpu_sections.torch_device import torch_device
from benchmarks.sampler import SCENES, Scene
from stn_jax.models import make_model
from stn_jax.models.convolution import winograd
from stn_jax.sampling import spatial_transform
from stn_jax.training.errors import Interrupted
from stn_jax.training.interrupts import StopSignal
from stn_jax.training.loop import Outcome

COMMAND = [sys.executable, "benchmarks/gpu.py"]
ON_CPU = {**os.environ, "JAX_PLATFORMS": "cpu"}


def start(*options: str | Path) -> subprocess.Popen:
    return subprocess.Popen(
        [*COMMAND, *map(str, options)],
        cwd=ROOT,
        env=ON_CPU,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def read(folder: Path) -> dict:
    return json.loads((folder / "gpu.json").read_text())


class TestTime:
    def test_the_first_gets_its_least_and_its_part_of_the_rest(self):
        sections = [Section("a", least=10, share=3), Section("b", least=20, share=1)]
        assert allow(sections, 70) == 10 + 40 * 3 / 4
        assert allow(sections[1:], 70) == 70

    def test_what_does_not_fit_leaves_its_time_to_the_others(self):
        sections = [Section(name, least, 1) for name, least in [("a", 10), ("b", 90), ("c", 20)]]
        assert allow(sections, 40) == 10 + 10 / 2
        assert allow(sections[1:], 40) is None
        assert allow(sections[2:], 40) == 40

    def test_an_important_section_is_not_left_out_for_a_later_one(self):
        sections = [Section("a", least=30, share=1), Section("b", least=20, share=1)]
        assert allow(sections, 35) == 35
        assert allow(sections[1:], 0) is None

    def test_nothing_begins_when_the_time_is_over(self):
        assert allow([Section("a", least=0, share=1)], -1) is None

    def test_eight_minutes_are_enough_for_the_least_of_all(self):
        assert sum(section.least for section in SECTIONS) < 8 * 60

    @pytest.mark.parametrize(("least", "begun"), [(None, False), (50, False), (30, True)])
    def test_a_task_is_begun_only_with_time_for_it(self, least, begun):
        """By default, as much as the longest before it took."""
        left = iter([100, 40, 40, 40])  # before and after the first, before and after the second
        tasks = [Task("long", dict), Task("next", dict, least)]
        rows = list(answer(tasks, lambda: next(left)))
        assert "left_out" not in rows[0]
        assert ("left_out" not in rows[1]) == begun
        if not begun:
            assert rows[1]["left_out"] == f"needs about {least or 60} s, and 40 s are left"


class TestFailures:
    def test_one_that_fails_does_not_stop_the_others(self):
        def fail():
            raise ValueError("first line\nsecond line")

        rows = list(answer([Task("bad", fail), Task("good", lambda: {"value": 1})], lambda: 1.0))
        assert rows == [
            {"what": "bad", "failed": "ValueError: first line"},
            {"what": "good", "value": 1},
        ]

    @pytest.mark.parametrize(
        ("name", "seconds", "status"), [("machine", 100, "ran"), ("nothing", 100, "cannot run"),
                                        ("machine", 0.1, "cut short")],
    )  # fmt: skip
    def test_a_section_says_how_it_ended(self, name, seconds, status, tmp_path):
        with open(tmp_path / "log", "w") as log:
            running = Running(name, seconds=seconds, tiny=True, log=log)
            rows = list(running.rows())
        assert running.status == status
        assert len(rows) == (status == "ran")
        assert (running.reason is None) == (status == "ran")

    def test_a_section_does_not_fall_back_to_another_device(self, tmp_path):
        with open(tmp_path / "log", "w") as log:
            running = Running("machine", seconds=100, tiny=True, log=log, platforms="tpu,cpu")
            assert [row for row in running.rows() if "failed" not in row] == []
        assert running.status == "failed"
        assert "tpu" in running.reason

    @pytest.mark.parametrize(
        ("lent", "used"), [(None, "0"), ("2,3", "2"), ("GPU-a,GPU-b", "GPU-a")]
    )
    def test_a_section_sees_the_first_gpu_alone(self, lent, used, tmp_path, monkeypatch):
        program = tmp_path / "program"
        program.write_text('#!/bin/sh\necho "{\\"row\\": \\"$CUDA_VISIBLE_DEVICES\\"}"\n')
        program.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(program))
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if lent is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", lent)
        with open(tmp_path / "log", "w") as log:
            assert list(Running("any", seconds=100, tiny=True, log=log).rows()) == [used]

    def test_a_crash_is_a_failure(self, tmp_path, monkeypatch):
        monkeypatch.setenv("XLA_FLAGS", "--no_such_flag")  # ends the process from within
        with open(tmp_path / "log", "w") as log:
            running = Running("machine", seconds=100, tiny=True, log=log)
            assert list(running.rows()) == []
        assert running.status == "failed"
        assert "it ended with status" in running.reason
        assert "no_such_flag" in (tmp_path / "log").read_text()

    def test_a_section_that_is_given_up_is_killed(self, tmp_path, monkeypatch):
        program, ended = tmp_path / "program", tmp_path / "ended"
        program.write_text(f"#!/bin/sh\necho '{{\"row\": {{}}}}'\nsleep 30\ntouch {ended}\n")
        program.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(program))
        with open(tmp_path / "log", "w") as log:
            rows = Running("any", seconds=100, tiny=True, log=log).rows()
            assert next(rows) == {}
            rows.close()  # waits for the program's end
        assert not ended.exists()


class TestReport:
    def test_is_whole_after_every_change(self, tmp_path):
        path = tmp_path / "gpu.json"
        report = Report(path, machine={"what": "machine", "device": "one"}, minutes=1)
        report.wait_for(["a", "b"])
        report.start("a", 10)
        report.add("a", {"what": "first", "value": 1.5})
        assert json.loads(path.read_text()) == {
            "minutes": 1,
            "machine": {"what": "machine", "device": "one"},
            "sections": {
                "a": {
                    "status": "running",
                    "seconds_allowed": 10,
                    "results": [{"what": "first", "value": 1.5}],
                },
                "b": {"status": "waiting"},
            },
        }

    def test_is_complete_when_every_section_ran(self, tmp_path, capsys):
        report = Report(tmp_path / "gpu.json", machine={"what": "machine"})
        report.wait_for(["a", "b"])
        report.finish("a", "ran", None)
        assert not report.complete
        report.leave_out("b", "no time")
        assert not report.complete
        assert "b: left out: no time" in capsys.readouterr().out
        report.finish("b", "ran", None)
        assert report.complete


class TestCommand:
    def test_without_a_gpu_it_says_what_to_do(self, tmp_path):
        process = start("--out", tmp_path)
        _, error = process.communicate(timeout=120)
        assert process.returncode == 2
        assert error.startswith("error: JAX finds no GPU, only cpu: install jax[cuda13]")
        assert error.count("\n") == 1
        assert "--tiny" in error

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--minutes", "0"], "--minutes 0.0 must be positive"),
            (["--out", "setup.py/x"], "--out setup.py/x cannot be used"),
        ],
    )
    def test_refuses_what_it_cannot_do(self, tmp_path, options, message, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "setup.py").touch()
        command = [sys.executable, str(ROOT / "benchmarks/gpu.py"), "--out", "out", *options]
        done = subprocess.run(command, capture_output=True, text=True, env=ON_CPU)
        assert done.returncode == 2
        assert message in done.stderr
        assert "Traceback" not in done.stderr

    def test_a_stop_keeps_what_is_done_and_leaves_nothing_running(self, tmp_path):
        process = start("--tiny", "--out", tmp_path, "--sections", "sampler", "suite")
        while process.poll() is None:
            if (tmp_path / "gpu.json").exists() and read(tmp_path)["sections"]["sampler"].get(
                "results"
            ):
                break
            time.sleep(0.05)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 128 + signal.SIGTERM
        assert children
        assert not psutil.wait_procs(children, timeout=10)[1]
        sections = read(tmp_path)["sections"]
        assert sections["sampler"]["status"] == "running"
        assert sections["sampler"]["results"][0]["gigabytes_per_second"] > 0
        assert sections["suite"] == {"status": "waiting"}

    @pytest.mark.slow
    def test_every_section_runs(self, tmp_path):
        # Far more than they need, so that no section is cut short where the machine is busy.
        process = start("--tiny", "--minutes", "120", "--out", tmp_path)
        output, error = process.communicate(timeout=7200)
        report = read(tmp_path)
        assert list(report["sections"]) == [section.name for section in SECTIONS]
        torch = report["machine"]["versions"]["torch"] is not None
        for name, section in report["sections"].items():
            if name == "torch_step" and not torch:
                assert section["status"] == "cannot run"
                assert section["reason"] == "torch is not installed"
                assert "cannot run: torch is not installed" in output
            else:
                assert section["status"] == "ran", (section, error)
        assert process.returncode == (0 if torch else 1)
        whole, host = report["sections"]["paper"]["results"][1:]
        assert whole["batches"] == TINY.batches
        assert host["batches"] == TINY.input_batches
        assert report["sections"]["resume"]["results"][-1]["different"] == 0
        assert report["sections"]["suite"]["results"][0]["passed"] > 0
        tried = report["sections"]["memory"]["results"][2:]
        largest = tried[-1]["largest_that_fits"]
        fits = {int(row["what"].split()[3]): row["fits"] for row in tried}
        assert fits[largest]
        assert largest == max(batch for batch, fit in fits.items() if fit)


class TestPaper:
    def test_adds_up_the_windows_of_a_run(self, tmp_path):
        lines = [
            {"step": 10, "train/photos_per_second": 50.0, "train/input_stall": 0.5},
            {"step": 10, "val/loss": 1.0},
            {"step": 12, "train/photos_per_second": 10.0, "train/input_stall": 0.25},
        ]
        path = tmp_path / "metrics.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        # 10 batches of 15 at 50 photos a second: 3 s; 2 batches at 10 a second: 3 s.
        assert paper.read_speed(path, 15) == (12, 6.0, 3 * 0.5 + 3 * 0.25)

    @pytest.mark.parametrize("finished", [True, False])
    def test_what_was_not_trained_is_marked_as_extrapolated(self, finished, tmp_path, monkeypatch):
        config = paper.make_config(TINY, "host", 10 if finished else 40, tmp_path)
        line = {"step": 10, "train/photos_per_second": 20.0, "train/input_stall": 0.5}

        def train(config, workdir):
            (workdir / "metrics.jsonl").write_text(json.dumps(line) + "\n")
            raise Interrupted("SIGTERM")  # late: what was done counts all the same

        monkeypatch.setattr(paper, "train", train)
        row = paper.measure(config, tmp_path, lambda: 100.0)
        assert row["batches"] == 10
        assert row["seconds_of_training"] == 2.0  # 10 batches of 4 photos
        assert row["input_stall"] == 0.5
        assert row.get("seconds_of_training_extrapolated") == (None if finished else 8.0)

    @pytest.mark.parametrize("how", ["interrupted", "stopped"])
    def test_no_batch_is_no_result(self, how, tmp_path, monkeypatch):
        def train(config, workdir):
            if how == "interrupted":
                raise Interrupted("SIGTERM")
            return Outcome(step=0, finished=False, workdir=workdir)

        monkeypatch.setattr(paper, "train", train)
        with pytest.raises(TimeoutError, match="before the first batch"):
            paper.measure(TINY.config("bfloat16"), tmp_path, lambda: 100.0)

    def test_training_is_asked_to_stop_in_time(self):
        before = time.monotonic()
        with StopSignal() as stop, stop.deferred(), paper.stopped_after(0.01):
            while not stop.requested and time.monotonic() < before + 60:
                time.sleep(0.01)
        assert stop.requested

    def test_training_that_ends_in_time_is_not_asked(self):
        with StopSignal() as stop, stop.deferred():
            with paper.stopped_after(0.05):
                pass
            time.sleep(0.2)
        assert not stop.requested


class TestStep:
    def test_counts_the_paper_s_arithmetic(self):
        """By hand, forward, in multiplications and additions of one photo."""
        convolutions = [(210, 315, 3, 64), (210, 315, 64, 64), (105, 157, 64, 64),
                        (105, 157, 64, 64), (52, 78, 64, 128), (52, 78, 128, 128),
                        (52, 78, 128, 128), (26, 39, 128, 256), (26, 39, 256, 256),
                        (26, 39, 256, 256)]  # fmt: skip
        dense = [(13 * 19 * 256, 2048), (2048, 2058), (2058, 2), (17 * 26 * 32, 64), (64, 6)]
        localization = [(70, 105, 25 * 3, 16), (35, 52, 9 * 16, 32), (17, 26, 9 * 32, 32)]
        forward = 2 * (
            sum(h * w * 9 * i * o for h, w, i, o in convolutions)
            + sum(h * w * i * o for h, w, i, o in localization)
            + sum(i * o for i, o in dense)
        )
        assert peaks.step_flops(FULL.config("bfloat16")) == 3 * 15 * forward

    def test_agrees_with_the_compiler(self, monkeypatch):
        # On a CPU there are fewer multiplications: those of a GPU are counted.
        monkeypatch.setattr(winograd, "suits", lambda *_: False)
        config = FULL.config("float32", batch_size=1)
        model = make_model(config.model, num_classes=2, mean_color=(127.5,) * 3)
        photos = jax.ShapeDtypeStruct((1, *config.data.photo_size, 3), jnp.uint8)
        variables = jax.eval_shape(
            lambda: model.init(
                jax.random.key(0), jnp.zeros(photos.shape, photos.dtype), train=False
            )
        )
        forward = jax.jit(lambda variables, photos: model.apply(variables, photos, train=False))
        by_xla = forward.lower(variables, photos).cost_analysis()["flops"]
        # XLA counts elementwise work, too, and leaves out products with a convolution's padding.
        assert peaks.step_flops(config) / 3 == pytest.approx(by_xla, rel=0.02)

    def test_an_unknown_chip_has_no_peak(self):
        assert peaks.peak_flops("NVIDIA H100 80GB HBM3", "bfloat16") == 989e12
        assert peaks.peak_flops("Tesla T4", "bfloat16") is None
        assert peaks.peak_flops("cpu", "float32") is None

    @pytest.mark.parametrize("chip", ["cpu", "NVIDIA H200"])
    def test_the_share_of_the_peak_is_absent_rather_than_guessed(self, chip, monkeypatch):
        device = type("Device", (), {"device_kind": chip})
        monkeypatch.setattr(jax, "devices", lambda: [device])
        row = step.speed(FULL, "bfloat16", 0.01)
        assert row["teraflops"] == pytest.approx(15 * 41.49e9 / 0.01 / 1e12, rel=1e-3)
        assert ("share_of_peak" in row) == (chip != "cpu")

    def test_steps_that_go_together_train_as_many_times(self):
        trainer = step.Trainer(TINY, "float32", resident=True, together=3)
        trainer.run(6)
        assert trainer.state.step == 6

    def test_tf32_is_how_training_multiplies_float32(self):
        matrix = jnp.ones((2, 2))
        with jax.default_matmul_precision(MATMUL_PRECISIONS["tf32"]):
            asked = jax.jit(jnp.dot).lower(matrix, matrix).as_text()
        assert asked == jax.jit(jnp.dot).lower(matrix, matrix).as_text()


class TestResume:
    def test_the_comparison_is_not_left_out_because_trainings_take_long(self, monkeypatch):
        def train_apart(config, workdir):
            assert config.data.synthetic.train == 30  # few photos to make
            return {}

        monkeypatch.setattr(resume, "train_apart", train_apart)
        monkeypatch.setattr(resume, "compare", lambda *runs: {"different": 0})
        left = iter([76, 50, 50, 25, 25, 5, 5, 4])  # before and after each
        rows = list(answer(resume.tasks(FULL, lambda: 1.0), lambda: next(left)))
        assert [row.get("different") for row in rows] == [None, None, None, 0]


class TestMemory:
    @pytest.mark.parametrize("limit", [1, 37, 100, 163, 1000])
    def test_finds_the_largest_batch_to_within_a_step(self, limit):
        search = memory.Search(100)
        rows = list(answer(self.tasks(search, limit), lambda: 1.0))
        assert search.largest <= limit < search.largest * (1 + 2 * memory.STEP) + 1
        assert rows[-1]["largest_that_fits"] == search.largest
        assert [row.get("obstacle") for row in rows if not row["fits"]] == ["too large"] * sum(
            not row["fits"] for row in rows
        )
        assert not all(row["fits"] for row in rows)

    def test_says_so_when_nothing_fits_or_the_time_is_over(self):
        rows = list(answer(self.tasks(memory.Search(2), 0), lambda: 1.0))
        assert [row["largest_that_fits"] for row in rows] == [None, None]
        left = iter([10, -1, -1, -1])  # the first takes 11 s
        tasks = self.tasks(memory.Search(9), 100)
        first, second = answer(tasks, lambda: next(left))
        assert (first["what"], first["fits"]) == ("a batch of 9 photos, bfloat16", True)
        assert "left_out" in second

    def test_begins_even_where_tuning_took_longer_than_what_is_left(self):
        tuned = Task("a step with 15 photos", dict)
        left = iter([38, 10, 10, 2, -1, -1])  # before and after each
        tasks = itertools.chain([tuned], self.tasks(memory.Search(9), 100))
        rows = list(answer(tasks, lambda: next(left)))
        assert [row.get("fits") for row in rows] == [None, True, None]

    @staticmethod
    def tasks(search, limit):
        return memory.find_largest(search, lambda batch: None if batch <= limit else "too large")

    def test_does_not_begin_where_no_library_counts(self):
        # Feature maps of 210x315x64, of which 507 have fewer elements than an int32 counts.
        assert memory.indexable_batch(FULL) == 507


class TestSampler:
    def test_the_bound_counts_the_pixels_that_the_crops_touch(self):
        """A pixel is touched when changing it can change the crop."""
        scene = Scene("small", (1, 9, 12, 1), (4, 5), 0.6)
        crop = lambda photo: spatial_transform(photo, scene.theta, scene.crop)  # noqa: E731
        slopes = jax.jacobian(crop)(jnp.zeros(scene.photos))
        touched = int((jnp.abs(slopes).reshape(-1, *scene.photos[1:3]).sum(axis=0) > 0).sum())
        assert sampler.touched_pixels(scene) == touched
        crops, photo = 4 * 5 * 4, 9 * 12 * 4
        assert sampler.bytes_moved(scene, "forward", 1) == touched + crops
        assert sampler.bytes_moved(scene, "theta gradient", 4) == 4 * touched + 2 * crops
        assert sampler.bytes_moved(scene, "both gradients", 4) == 4 * touched + 2 * crops + photo

    def test_every_task_is_done_by_all_that_can(self):
        scene = SCENES[0]._replace(photos=(2, 30, 45, 3), crop=(10, 15))
        found = sampler.make_contestants(scene, TINY)
        row = sampler.compare(scene, "forward", lambda: found, TINY, [1e9])
        assert row["ours_uint8_microseconds"] > 0
        assert row["ours_uint8_share_of_bound"] == pytest.approx(
            sampler.bytes_moved(scene, "forward", 1) / 1e3 / row["ours_uint8_microseconds"]
        )
        assert "ours_uint8_microseconds" not in sampler.compare(
            scene, "both gradients", lambda: found, TINY, [1e9]
        )


@pytest.mark.parametrize(("cuda", "device"), [(True, "cuda"), (False, None)])
def test_torch_that_cannot_compute_on_a_gpu_is_no_rival_of_it(cuda, device, monkeypatch):
    def ones(count, device):
        if device == "cuda" and not cuda:
            raise RuntimeError("no kernel image is available for execution on the device")
        return np.ones(count)

    torch = types.SimpleNamespace(ones=ones, __spec__=True)
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert torch_device() == "cpu"
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert torch_device() == device


def test_a_torch_that_is_broken_is_no_rival(tmp_path, monkeypatch):
    (tmp_path / "torch.py").write_text("raise OSError('libcudart.so: cannot open')")
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    assert torch_device() is None


class TestTorchStep:
    @pytest.fixture
    def torch_step(self):
        return pytest.importorskip("benchmarks.gpu_sections.torch_step", exc_type=ImportError)

    def test_nothing_is_compiled_for_a_torch_without_cuda(self, torch_step, monkeypatch):
        monkeypatch.setattr(torch_step, "torch_device", lambda: None)
        with pytest.raises(CannotRunError, match="torch cannot use the GPU"):
            next(torch_step.tasks(TINY, lambda: 1.0))

    def test_what_is_not_compiled_is_not_left_out_because_compiling_takes_long(self, torch_step):
        quick = [task.what for task in torch_step.tasks(TINY, lambda: 1.0) if task.least == 0]
        assert quick == ["eager, contiguous, bfloat16"]


class TestMachine:
    @pytest.mark.parametrize(
        ("answered", "gigabytes"), [("143771", 150.8), ("[N/A]", None), (None, None)]
    )
    def test_memory_that_the_driver_does_not_tell_is_unknown(
        self, answered, gigabytes, monkeypatch
    ):
        monkeypatch.setattr(machine, "ask_nvidia", lambda what: answered)
        assert machine.describe()["memory_gigabytes"] == gigabytes


class TestSuite:
    def test_counts_and_names_what_broke(self, tmp_path):
        (tmp_path / "test_some.py").write_text(
            "import pytest\n"
            "def test_good(): pass\n"
            "def test_bad(): assert False\n"
            "def test_absent(): pytest.skip()\n"
            "@pytest.fixture\n"
            "def broken():\n"
            "    yield\n"
            "    assert False\n"
            "def test_twice(broken): assert False\n"
        )
        row = suite.run([str(tmp_path / "test_some.py")], 100)
        names = [name.rpartition("::")[2] for name in row.pop("failed_tests")]
        assert sorted(names) == ["test_bad", "test_twice"]
        assert row == {"passed": 1, "skipped": 1, "failed": "2 of 4 tests"}

    def test_counts_what_was_done_when_the_time_is_over(self, tmp_path):
        (tmp_path / "test_some.py").write_text(
            "import time\ndef test_good(): pass\ndef test_long(): time.sleep(100)\n"
        )
        row = suite.run([str(tmp_path / "test_some.py")], 25)
        assert row == {"passed": 1, "skipped": 0, "left_out": "what did not fit into 25 s"}

    def test_a_file_that_cannot_be_imported_does_not_stop_the_others(self, tmp_path, monkeypatch):
        monkeypatch.setattr(suite, "_options", list)  # in one process, as pytest-xdist goes on
        (tmp_path / "test_broken.py").write_text("import no_such_package\n")
        (tmp_path / "test_some.py").write_text("def test_good(): pass\n")
        row = suite.run([str(tmp_path / "test_broken.py"), str(tmp_path / "test_some.py")], 100)
        (broken,) = row.pop("failed_tests")
        assert broken.endswith("test_broken.py")
        assert row == {"passed": 1, "skipped": 0, "failed": "1 of 2 tests"}

    def test_one_start_has_all_the_time(self, monkeypatch):
        asked = []
        monkeypatch.setattr(suite, "run", lambda *arguments: asked.append(arguments) or {})
        list(answer(suite.tasks(FULL, lambda: 38.0), lambda: 38.0))
        assert asked == [(FULL.test_files, 38.0)]

    def test_kernels_are_not_tuned(self, tmp_path, monkeypatch):
        (tmp_path / "test_some.py").write_text(
            "import os\n"
            "def test_flags():\n"
            "    assert os.environ['XLA_FLAGS'] == '--one=1 --xla_gpu_autotune_level=0'\n"
        )
        monkeypatch.setenv("XLA_FLAGS", "--one=1")
        assert suite.run([str(tmp_path / "test_some.py")], 100) == {"passed": 1, "skipped": 0}


def test_tiny_is_the_paper_s_experiment_but_for_sizes():
    full, tiny = (scale.config("bfloat16") for scale in (FULL, TINY))
    assert tiny.train == dataclasses.replace(full.train, batch_size=tiny.train.batch_size)
    assert tiny.model.transform == full.model.transform
    assert full.data.photo_size == (630, 945)
    assert full.train.batch_size == 15
    assert np.prod(FULL.photo_size) * 3 * FULL.photos < 1e9
