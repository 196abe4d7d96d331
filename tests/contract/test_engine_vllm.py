"""What vLLM can do beyond the other engines: likely tokens, the prompt's own, adapters, salts, priorities, bounds."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from pronto.core.events import FinishReason, Prefill, Token
from pronto.core.kv import kv_values
from pronto.core.request import Asker, Grammar, InferenceRequest, Sampling, TextGeneration
from pronto.core.tasks import Task
from pronto.engines.base import EngineEvent
from pronto.engines.text.vllm_core import sampling_params
from pronto.engines.vllm_llm import VllmEngine
from tests.contract.engine_scenes import (
    Bench,
    done,
    failed,
    finishes,
    generation,
    load,
    loaded,
    model,
    sampled,
    token_ids,
    tokens,
)

PROMPT = [0, 70, 85, 300, 41, *range(100, 140)]


@pytest.fixture(scope="module")
def exact(published_llama: Path) -> Bench:
    return loaded("vllm", published_llama, precision="exact")


@pytest.fixture(scope="module")
def scores(published_llama: Path) -> torch.Tensor:
    """Log-probabilities of what follows each token of the prompt, by transformers."""
    with torch.no_grad():
        network = AutoModelForCausalLM.from_pretrained(published_llama, dtype=torch.float32).eval()
        return torch.log_softmax(network(torch.tensor([PROMPT])).logits[0], -1)


def test_likely_tokens_are_those_of_transformers(exact: Bench, scores: torch.Tensor) -> None:
    first = tokens(exact.run(generation(ids=PROMPT, logprobs=True, top_logprobs=5)))[0]
    expected = torch.topk(scores[-1], 5)
    assert [top.id for top in first.top] == expected.indices.tolist()
    assert [top.logprob for top in first.top] == pytest.approx(expected.values.tolist(), abs=1e-4)
    assert first.top[0].text == first.text or "\ufffd" in first.top[0].text


def test_a_token_that_is_not_likely_is_none_of_the_likely_ones(exact: Bench) -> None:
    work = generation(ids=PROMPT, new=40, logprobs=True, top_logprobs=2, sampling=sampled(3, temperature=2.0))
    said = tokens(exact.run(work))
    assert all(len(token.top) == 2 for token in said)
    rare = [token for token in said if token.id not in {top.id for top in token.top}]
    assert rare
    assert all(token.logprob is not None and token.logprob <= token.top[1].logprob for token in rare)


def test_the_prompt_comes_with_its_probabilities_once(exact: Bench, scores: torch.Tensor) -> None:
    work = generation(ids=PROMPT, new=4, logprobs=True, prompt_logprobs=True, choices=2, sampling=sampled(1))
    for _ in range(2):  # the second time the prefix cache knows the prompt
        events = exact.run(work)
        found = [event for event in events if isinstance(event, Prefill)]
        assert len(found) == 1
        assert events.index(found[0]) < events.index(next(e for e in events if isinstance(e, Token) and e.choice == 0))
        assert [token.id for token in found[0].tokens] == PROMPT
        assert found[0].tokens[0].logprob is None
        expected = [float(scores[at - 1, id]) for at, id in enumerate(PROMPT) if at]
        assert [token.logprob for token in found[0].tokens[1:]] == pytest.approx(expected, abs=1e-4)


def add(bench: Bench, work: TextGeneration, asker: Asker) -> int:
    bench._next += 1
    bench.events[bench._next] = []
    request = InferenceRequest(id="r", model="tiny", task=Task.TEXT_GENERATION, work=work, asker=asker)
    bench.engine.add(bench._next, request)
    return bench._next


def hits(bench: Bench, ids: list[int], salt: str) -> int:
    """Tokens of the prompt that the prefix cache had for whoever has this salt."""
    before = bench.engine.stats().prefix_hits
    id = add(bench, generation(ids=ids, new=2), Asker(salt=salt))
    bench.until_over([id])
    return bench.engine.stats().prefix_hits - before


def test_prefixes_are_shared_within_a_salt_and_not_beyond(exact: Bench) -> None:
    long = [0, *range(200, 350)]  # more than a block of 128
    assert hits(exact, long, "one") == 0
    assert hits(exact, long, "one") == 128
    assert hits(exact, long, "two") == 0
    assert hits(exact, long, "") == 0
    stats = exact.engine.stats()
    assert stats.prefix_tokens is not None
    assert stats.prefix_tokens >= stats.prefix_hits


def test_the_heavier_plan_goes_first_where_vllm_must_choose(published_llama: Path) -> None:
    bench = loaded("vllm", published_llama, slots=1)
    first = add(bench, generation(new=30), Asker())
    bench.step()
    light = [add(bench, generation(new=5), Asker(weight=1.0)) for _ in range(3)]
    heavy = add(bench, generation(new=5), Asker(weight=8.0))
    order: list[int] = []
    while len(order) < 5:
        bench.step()
        order += [id for id in (first, *light, heavy) if bench.is_over(id) and id not in order]
    assert order == [heavy, first, *light] or order == [first, heavy, *light]


@pytest.mark.parametrize("count", [-1, 21])
def test_too_many_likely_tokens_are_refused_by_name(exact: Bench, count: int) -> None:
    assert failed(exact.run(generation(logprobs=True, top_logprobs=count))).param == "top_n_tokens"


@pytest.mark.parametrize("field", ["temperature", "top_p", "min_p", "repetition_penalty", "frequency_penalty"])
def test_what_is_no_number_is_refused_by_name(exact: Bench, field: str) -> None:
    for value in (float("nan"), float("inf")):
        refusal = failed(exact.run(generation(sampling=Sampling(do_sample=True, seed=1, **{field: value}))))
        assert refusal.param == field
    assert done(exact.run(generation(new=2)))


def test_vllm_is_told_these_fields_and_no_others() -> None:
    work = generation(
        new=9,
        logprobs=True,
        top_logprobs=3,
        prompt_logprobs=True,
        stop=("never told",),
        grammar=Grammar("regex", "a+"),
        adapter="never told",
        watermark=True,
        sampling=Sampling(
            do_sample=True, temperature=0.5, top_k=4, top_p=0.9, min_p=0.1, repetition_penalty=1.1, seed=7,
            frequency_penalty=0.2, presence_penalty=0.3,
        ),
    )  # fmt: skip
    told = sampling_params(work, frozenset({1}), 7, is_first=True)
    plain = type(told)()
    changed = {name for name in told.__struct_fields__ if getattr(told, name) != getattr(plain, name)}
    own = {name for name in changed if name.startswith("_")}
    assert changed - own == {
        *("max_tokens", "temperature", "top_k", "top_p", "min_p", "repetition_penalty", "frequency_penalty"),
        *("presence_penalty", "seed", "stop_token_ids", "logprobs", "prompt_logprobs", "structured_outputs"),
        *("detokenize", "output_kind", "skip_reading_prefix_cache"),  # the last by itself, for the prompt's own
    }
    assert told.extra_args is None
    assert told.stop in (None, [])


def test_a_model_that_does_not_fit_is_refused_before_it_is_loaded(published_llama: Path) -> None:
    with pytest.raises(ValueError, match=r"does not fit: its weights take .* GB.* may use 0\.50 GB"):
        load(VllmEngine(), model("vllm", published_llama), memory_bytes=500_000_000)


def test_what_was_not_pulled_or_is_no_model_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not pulled yet"):
        load(VllmEngine(), model("vllm"))
    with pytest.raises(ValueError, match="no readable config"):
        load(VllmEngine(), model("vllm", tmp_path))


def test_the_arithmetic_of_the_cache_is_vllms_own(exact: Bench, published_llama: Path) -> None:
    engine = exact.engine
    assert isinstance(engine, VllmEngine)
    config = json.loads((published_llama / "config.json").read_text())
    spec = engine._scheduler.kv_cache_config.kv_cache_groups[0].kv_cache_spec
    layers = config["num_hidden_layers"]
    assert spec.page_size_bytes * layers == kv_values(config) * 4 * spec.block_size
    assert exact.capabilities.kv_tokens * kv_values(config) * 4 <= 16 * 2**20


_ADAPTER = """
import json, sys
import torch, transformers
from safetensors.torch import save_file

base, folder, prompt, rank = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4])
model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
torch.manual_seed(int(rank))
tensors = {}
for name, layer in model.named_modules():
    if name.rpartition(".")[2] in ("q_proj", "v_proj", "down_proj"):
        rows, columns = layer.weight.shape
        a, b = torch.randn(rank, columns) / columns**0.5, torch.randn(rows, rank) / 4
        tensors[f"base_model.model.{name}.lora_A.weight"], tensors[f"base_model.model.{name}.lora_B.weight"] = a, b
        layer.weight.data += 2.0 * (b @ a)
import os
os.makedirs(folder)
save_file(tensors, f"{folder}/adapter_model.safetensors")
config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": 2 * rank, "bias": "none",
          "target_modules": ["q_proj", "v_proj", "down_proj"]}
json.dump(config, open(f"{folder}/adapter_config.json", "w"))
with torch.no_grad():
    scores = torch.log_softmax(model(torch.tensor([prompt])).logits[0, -1], -1)
print(json.dumps(torch.topk(scores, 5).values.tolist()))
"""


def build_adapter(base: Path, folder: Path, rank: int) -> list[float]:
    """Write an adapter in PEFT's files; log-probabilities of what the merged weights would say next."""
    command = [sys.executable, "-c", _ADAPTER, str(base), str(folder), json.dumps(PROMPT), str(rank)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    answer: list[float] = json.loads(ran.stdout)
    return answer


def thought(events: list[EngineEvent]) -> list[float]:
    """Log-probabilities of the likeliest first tokens."""
    return [top.logprob for top in tokens(events)[0].top]


def test_adapters_are_chosen_by_each_request(exact: Bench, published_llama: Path, tmp_path: Path) -> None:
    expected = {rank: build_adapter(published_llama, tmp_path / f"rank-{rank}", rank) for rank in (4, 8)}
    asked = {"ids": PROMPT, "new": 20, "logprobs": True, "top_logprobs": 5}
    plain = exact.run(generation(**asked))
    bench = loaded("vllm", published_llama, precision="exact", lora_rank=8)
    works = {rank: generation(**asked, adapter=str(tmp_path / f"rank-{rank}")) for rank in (4, 8)}
    ids = {rank: bench.add(work) for rank, work in works.items()}
    without = bench.add(generation(**asked))
    bench.until_over([*ids.values(), without])  # all in one batch
    for rank, id in ids.items():
        assert thought(bench.events[id]) == pytest.approx(expected[rank], abs=1e-3)
        assert thought(bench.events[id]) != pytest.approx(thought(plain), abs=0.1)
    assert thought(bench.events[without]) == pytest.approx(thought(plain), abs=1e-4)
    assert token_ids(bench.events[without]) == token_ids(plain)
    assert failed(bench.run(generation(ids=PROMPT, prompt_logprobs=True))).param == "decoder_input_details"
    refusal = failed(exact.run(works[4]))
    assert refusal.param == "adapter_id"
    assert "before it had adapters" in refusal.message

    build_adapter(published_llama, tmp_path / "rank-16", 16)
    refusal = failed(bench.run(generation(ids=PROMPT, adapter=str(tmp_path / "rank-16"))))
    assert "its rank is 16, and `lora_rank` of the model is 8" in refusal.message
    broken = (tmp_path / "rank-4").rename(tmp_path / "broken")
    (broken / "adapter_model.safetensors").write_bytes(b"no tensors")
    refusal = failed(bench.run(generation(ids=PROMPT, adapter=str(broken))))
    assert refusal.param == "adapter_id"
    assert finishes(bench.run(generation(new=3)))[0].reason is FinishReason.LENGTH
