"""The engine for decoders that OpenVINO cannot export: its greedy tokens are those of transformers' own `generate`."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pronto.catalog.detect import detect
from pronto.catalog.sources import describe_folder
from pronto.core.events import FinishReason
from pronto.core.request import Sampling
from pronto.engines.transformers_llm import TransformersEngine
from tests.contract.engine_scenes import Bench, finishes, generation, load, model, sampled, text_of, token_ids, tokens
from tests.tiny_models import build_tiny_llama

NEW = 24
PROMPTS = [[0, 70, 85, 300, 41], [0, *range(100, 160)], [0, 5]]
# One with attention and a cache of keys and values, one with a recurrent state instead; OpenVINO's list has neither.
FAMILIES = {
    "nemotron": ("NemotronConfig", {"num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 128}),
    "mamba": ("MambaConfig", {"state_size": 8, "use_mambapy": False}),
}
_BUILD = """
import json, sys
import torch, transformers

base, families, shape, prompts, new = sys.argv[1], *map(json.loads, sys.argv[2:])
answers = {}
for name, (config, own) in families.items():
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(getattr(transformers, config)(**shape, **own))
    with torch.no_grad():
        for weight_name, weight in model.named_parameters():
            if weight.dim() == 2 and "A_log" not in weight_name:  # logits lie apart: greedy answers are stable
                weight.normal_(0, 1.0 if "embed" in weight_name else weight.shape[-1] ** -0.5)
    model.save_pretrained(f"{base}/{name}")
    model = transformers.AutoModelForCausalLM.from_pretrained(f"{base}/{name}", dtype=torch.float32).eval()
    answers[name] = []
    for prompt in prompts:
        ids = torch.tensor([prompt])
        out = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=new, do_sample=False, pad_token_id=0,
            eos_token_id=None,
        )
        answers[name].append(out[0, len(prompt):].tolist())
print(json.dumps(answers))
"""
_SHAPE = {
    "vocab_size": 512,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "max_position_embeddings": 256,
    "tie_word_embeddings": False,
    "bos_token_id": 0,
    "eos_token_id": 1,
}


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[list[int]]]]:
    """The folder of all models, and what transformers answers to each prompt."""
    base = tmp_path_factory.mktemp("families")
    tokenizer = build_tiny_llama(base / "tokenizer")
    given = (json.dumps(value) for value in (FAMILIES, _SHAPE, PROMPTS, NEW))
    command = [sys.executable, "-c", _BUILD, str(base), *given]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    for name, family in ((name, family) for name in ("tokenizer.json", "tokenizer_config.json") for family in FAMILIES):
        shutil.copyfile(tokenizer / name, base / family / name)
    return base, json.loads(done.stdout)


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest, families: tuple[Path, dict]) -> tuple[Path, list[list[int]]]:
    """One model's folder, and the answers."""
    return families[0] / request.param, families[1][request.param]


@pytest.fixture(scope="module")
def bench(family: tuple[Path, list[list[int]]]) -> Bench:
    engine = TransformersEngine()
    assert load(engine, model("transformers", family[0])).context >= 256
    return Bench(engine)


def test_it_is_the_engine_that_is_chosen_for_it(family: tuple[Path, list[list[int]]]) -> None:
    assert detect(describe_folder(family[0])).engine == "transformers"


def test_greedy_tokens_are_those_of_generate(family: tuple[Path, list[list[int]]], bench: Bench) -> None:
    assert all(len(set(answer)) > 3 for answer in family[1])  # it says something
    for prompt, answer in zip(PROMPTS, family[1], strict=True):
        made = token_ids(bench.run(generation(ids=prompt, new=NEW)))
        assert made == (answer[: answer.index(1) + 1] if 1 in answer else answer)


def test_company_changes_nothing(family: tuple[Path, list[list[int]]], bench: Bench) -> None:
    ids = [bench.add(generation(ids=prompt, new=NEW)) for prompt in PROMPTS]
    bench.until_over(ids)
    for id, answer in zip(ids, family[1], strict=True):
        made = token_ids(bench.events[id])
        assert made == (answer[: answer.index(1) + 1] if 1 in answer else answer)


def test_the_same_seed_says_the_same_and_choices_differ(bench: Bench) -> None:
    first, again = (
        bench.run(generation(ids=PROMPTS[0], new=12, choices=2, sampling=sampled(5, 2.0))) for _ in range(2)
    )
    assert token_ids(first, 0) == token_ids(again, 0)
    assert token_ids(first, 0) != token_ids(first, 1)
    assert token_ids(first, 1) == token_ids(bench.run(generation(ids=PROMPTS[0], new=12, sampling=sampled(6, 2.0))))


def test_a_penalty_keeps_it_from_repeating_itself(bench: Bench) -> None:
    harsh = Sampling(frequency_penalty=2.0, presence_penalty=2.0, repetition_penalty=100.0)
    made = token_ids(bench.run(generation(ids=PROMPTS[0], new=NEW, sampling=harsh)))
    assert len(set(made)) == len(made)


def test_log_probabilities_are_those_of_the_model(bench: Bench) -> None:
    said = tokens(bench.run(generation(ids=PROMPTS[0], new=5, logprobs=True)))
    assert all(token.logprob is not None and token.logprob <= 0 for token in said)


def test_a_stop_string_ends_it(bench: Bench) -> None:
    text = text_of(bench.run(generation(ids=PROMPTS[1], new=NEW)))
    stop = text[len(text) // 2 : len(text) // 2 + 2]
    events = bench.run(generation(ids=PROMPTS[1], new=NEW, stop=(stop,)))
    assert finishes(events)[0].reason is FinishReason.STOP
    assert text_of(events).endswith(stop)


def test_code_and_pickles_are_not_opened(family: tuple[Path, list[list[int]]], tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(family[0], folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModelForCausalLM": "evil.Evil"}}))
    with pytest.raises(ValueError, match="auto_map"):
        load(TransformersEngine(), model("transformers", folder))
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match="safetensors"):
        load(TransformersEngine(), model("transformers", folder))
