"""The demo model's recipe, small: the loss falls, a full disk stops it, it resumes, and `transformers` agrees."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy
import pytest

# In processes of its own: torch keeps threads and memory that no other test should live with.
_RUN = """
import sys, time
from pathlib import Path
import torch
from training.demo.model import Shape
from training.demo.train import Progress, Training, run

torch.set_num_threads(1)
work, seconds = Path(sys.argv[1]), float(sys.argv[2])
shape = Shape(vocabulary=64, hidden=32, inner=64, layers=1, heads=2)
training = Training(work, shape, torch.device("cpu"), 1, False)
now = time.time()
resumed = training.resume()
print("from step", resumed.step if resumed else 0, flush=True)
code = run(training, resumed or Progress(started=now, until=now + seconds))
sys.exit(code)
"""
_COMPARE = """
import sys
from pathlib import Path
import torch
from transformers import LlamaForCausalLM
from training.demo.model import Llama, Shape, publish

torch.manual_seed(3)
shape = Shape(vocabulary=100, hidden=64, inner=96, layers=2, heads=2)
model = Llama(shape).eval()
for weight in model.parameters():  # far from the start, where many mistakes would not be seen
    torch.nn.init.normal_(weight, std=0.3)
publish(model, Path(sys.argv[1]))
published = LlamaForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32, attn_implementation="eager").eval()
ids = torch.randint(0, 100, (2, 300))
with torch.no_grad():
    apart = (model(ids) - published(ids).logits).abs().max().item()
print(apart)
sys.exit(apart > 1e-3)
"""


def _python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Tokens that can be learned: each follows from the one before, with some noise."""
    rng = numpy.random.default_rng(1)
    tokens = numpy.where(rng.random(20_000) < 0.1, rng.integers(0, 64, 20_000), numpy.arange(20_000) * 5 % 64)
    numpy.save(tmp_path / "train.npy", tokens[:16_000].astype(numpy.uint16))
    numpy.save(tmp_path / "held_out.npy", tokens[16_000:].astype(numpy.uint16))
    return tmp_path


def _terminated(work: Path) -> bool:
    """Start a run of 8 s, end it by SIGTERM when it has begun; whether it went cleanly."""
    process = subprocess.Popen([sys.executable, "-c", _RUN, str(work), "8"], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "from step 0\n"
        time.sleep(1)
        process.terminate()
        return process.wait(60) == 0


def _curve(work: Path) -> list[list[float]]:
    return [[float(value) for value in row.split("\t")] for row in (work / "curve.tsv").read_text().splitlines()[1:]]


def test_the_loss_falls_and_the_model_is_published(work: Path) -> None:
    done = _python(_RUN, work, 12)
    assert done.returncode == 0, done.stderr
    held_out = _curve(work)[-1][3]
    assert held_out < 3.0  # chance is ln 64 = 4.16
    assert json.loads((work / "model" / "config.json").read_text())["architectures"] == ["LlamaForCausalLM"]
    assert (work / "curve.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.timeout(500)
def test_the_whole_recipe_learns_python(tmp_path: Path) -> None:
    """The shipped model's own corpus, tokenizer and shape, for a minute and a half of the hour that it takes."""
    for command in (["prepare"], ["train", "--minutes", "1.5"]):
        module, *more = command
        line = [sys.executable, "-m", f"training.demo.{module}", "--work", str(tmp_path), *more]
        done = subprocess.run(line, capture_output=True, text=True, timeout=400, check=False)
        assert done.returncode == 0, done.stderr
    assert "tokens/s" in done.stdout
    curve = _curve(tmp_path)
    assert curve[-1][3] < 7.0, curve  # from ln 8192 = 9.01; chance by frequency alone is some 6.9
    licences = [row.split("\t")[2] for row in (tmp_path / "sources.tsv").read_text().splitlines()[1:]]
    assert "PSF-2.0" in licences


def test_a_full_disk_stops_it_cleanly_and_it_resumes(work: Path) -> None:
    assert _terminated(work)
    kept = (work / "checkpoint.pt").read_bytes()
    (work / "checkpoint.part").symlink_to("/dev/full")
    stopped = _python(_RUN, work, 3)
    assert stopped.returncode == 3, stopped.stderr
    assert "The disk is full" in stopped.stderr
    assert (work / "checkpoint.pt").read_bytes() == kept
    curve = _curve(work)
    again = _python(_RUN, work, 8)
    assert again.returncode == 0, again.stderr
    assert not again.stdout.startswith("from step 0\n")
    assert _curve(work)[: len(curve)] == curve
    assert _curve(work)[-1][1] > curve[-1][1]  # it went on for the rest of its time


def test_transformers_reads_the_published_files_and_agrees(tmp_path: Path) -> None:
    done = _python(_COMPARE, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
