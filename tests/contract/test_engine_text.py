"""What every engine with a real text model keeps to: its tokens are transformers', text, grammars, sampling, bounds."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from pronto.core.events import FinishReason
from pronto.core.request import Grammar, Sampling, Work
from tests.contract.engine_scenes import (
    HERE,
    Bench,
    done,
    failed,
    finishes,
    generation,
    loaded,
    sampled,
    text_of,
    token_ids,
    tokens,
)

_REFERENCE = """
import json, sys
import torch
from transformers import AutoModelForCausalLM

model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
answers = []
for prompt in json.loads(sys.argv[2]):
    ids = torch.tensor([prompt])
    out = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=40, do_sample=False, pad_token_id=0,
        return_dict_in_generate=True, output_scores=True,
    )
    made = out.sequences[0, len(prompt):].tolist()
    logprobs = [torch.log_softmax(score[0], -1)[id].item() for id, score in zip(made, out.scores)]
    answers.append((made, logprobs))
print(json.dumps(answers))
"""


FilesOf = Callable[[str], Path | None]


@pytest.fixture(scope="module", params=HERE)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def bench(engine: str, files_of: FilesOf) -> Bench:
    return loaded(engine, files_of(engine))


@pytest.fixture(scope="module")
def exact(engine: str, files_of: FilesOf) -> Bench:
    return loaded(engine, files_of(engine), precision="exact")


@pytest.fixture(scope="module")
def source(engine: str, files_of: FilesOf) -> Path:
    """The folder as it was published."""
    files = files_of(engine)
    assert files is not None
    return files.parent / "tiny-llama" if engine == "openvino" else files


def test_exact_precision_says_what_transformers_says(exact: Bench, source: Path) -> None:
    prompts = [[0, 70, 85, 300, 41], [0, *range(100, 180)], [0, 5]]
    command = [sys.executable, "-c", _REFERENCE, str(source), json.dumps(prompts)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=True)
    for prompt, (ids, logprobs) in zip(prompts, json.loads(done.stdout), strict=True):
        events = exact.run(generation(ids=prompt, new=40, logprobs=True))
        assert token_ids(events) == ids
        assert [token.logprob for token in tokens(events)] == pytest.approx(logprobs, abs=1e-4)


def test_texts_add_up_to_what_the_tokenizer_decodes(bench: Bench, source: Path) -> None:
    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    for seed in range(40):  # random ids: half of the bytes are no valid UTF-8, and many characters come in pieces
        events = bench.run(generation(new=1 + seed, sampling=sampled(seed, temperature=2.0)))
        assert text_of(events) == tokenizer.decode(token_ids(events), skip_special_tokens=True)


def test_a_character_in_pieces_leaves_when_it_is_whole(bench: Bench) -> None:
    events = bench.run(generation(new=30, grammar=Grammar("regex", "é{4}")))
    pieces = [token.text for token in tokens(events) if not token.special]
    assert "".join(pieces) == "éééé"
    assert set(pieces) == {"", "é"}


def test_the_end_token_is_an_event_but_no_text(bench: Bench) -> None:
    events = bench.run(generation(new=30, grammar=Grammar("regex", "[0-9]{3}")))
    last = tokens(events)[-1]
    assert (last.id, last.text, last.special) == (1, "</s>", True)
    assert re.fullmatch("[0-9]{3}", text_of(events))
    assert finishes(events)[0].reason is FinishReason.EOS


def test_the_length_is_the_reason_even_of_an_end_token(bench: Bench) -> None:
    grammar = Grammar("regex", "[0-9]{3}")
    needed = len(tokens(bench.run(generation(new=30, grammar=grammar))))
    events = bench.run(generation(new=needed, grammar=grammar))
    assert tokens(events)[-1].special
    assert finishes(events)[0].reason is FinishReason.LENGTH


def test_text_held_back_for_a_stop_string_comes_with_the_end_token(bench: Bench) -> None:
    grammar = Grammar("regex", "[0-9]{3}!")
    events = bench.run(generation(new=30, grammar=grammar, stop=("!?",), keep_stop=False))
    assert re.fullmatch("[0-9]{3}!", text_of(events))
    assert finishes(events)[0].reason is FinishReason.EOS


def test_a_schema_shapes_the_output(bench: Bench) -> None:
    schema = {
        "type": "object",
        "properties": {"ready": {"type": "boolean"}, "colour": {"enum": ["red", "blue"]}},
        "required": ["ready", "colour"],
        "additionalProperties": False,
    }
    for seed in range(3):
        grammar = Grammar("json_schema", json.dumps(schema))
        events = bench.run(generation(new=200, grammar=grammar, sampling=sampled(seed)))
        text = text_of(events)
        answer = json.loads(text)
        # The grammar allows endless white space behind the value.
        assert finishes(events)[0].reason is FinishReason.EOS
        assert text == text.rstrip()
        assert set(answer) == {"ready", "colour"}
        assert answer["ready"] in (True, False)
        assert answer["colour"] in ("red", "blue")


@pytest.mark.parametrize(
    "narrowed",
    [
        Sampling(do_sample=True, seed=5, top_k=1),
        Sampling(do_sample=True, seed=5, min_p=0.99),
        Sampling(do_sample=True, seed=5, top_p=1e-6),
        Sampling(do_sample=True, seed=5, temperature=1e-3),
    ],
    ids=["top_k", "min_p", "top_p", "temperature"],
)
def test_narrow_sampling_is_greedy(bench: Bench, narrowed: Sampling) -> None:
    greedy = token_ids(bench.run(generation(new=10)))
    wide = token_ids(bench.run(generation(new=10, sampling=Sampling(do_sample=True, seed=5))))
    assert token_ids(bench.run(generation(new=10, sampling=narrowed))) == greedy != wide


@pytest.mark.parametrize(
    "penalised",
    [Sampling(repetition_penalty=50.0), Sampling(frequency_penalty=2.0), Sampling(presence_penalty=2.0)],
    ids=["repetition", "frequency", "presence"],
)
def test_penalties_reach_the_model(bench: Bench, penalised: Sampling) -> None:
    plain = token_ids(bench.run(generation(new=100)))
    changed = token_ids(bench.run(generation(new=100, sampling=penalised)))
    assert len(set(plain)) < len(set(changed))


def test_what_does_not_fit_is_refused_before_it_runs(bench: Bench) -> None:
    refusal = failed(bench.run(generation(new=300)))
    assert refusal.kind == "invalid_input"
    assert refusal.message == (
        "`inputs` tokens + `max_new_tokens` must be <= 256. Given: 26 `inputs` tokens and 300 `max_new_tokens`"
    )


@pytest.mark.parametrize(
    "work",
    [
        generation(new=0),
        generation(ids=[0, 512]),
        generation(ids=[-1]),
        generation(choices=0),
        generation(sampling=Sampling(do_sample=True, top_p=1.5)),
        generation(choices=3, sampling=Sampling(frequency_penalty=9.0)),
        generation(grammar=Grammar("ebnf", "root ::= 'a'")),
        generation(grammar=Grammar("json_schema", "{")),
    ],
    ids=["no room", "unknown id", "negative id", "no choice", "top_p", "penalty", "grammar kind", "schema"],
)
def test_what_the_pipeline_would_choke_on_is_refused(bench: Bench, work: Work) -> None:
    assert failed(bench.run(work)).kind == "invalid_input"
    assert len(tokens(bench.run(generation(new=3)))) == 3


def test_more_work_than_the_cache_holds_is_done_in_turn(engine: str, files_of: FilesOf) -> None:
    bench = loaded(engine, files_of(engine), kv_cache_mb=0, slots=8)
    assert bench.capabilities.kv_tokens < 2 * bench.capabilities.context
    ids = [bench.add(generation(ids=[0, *range(id, id + 60)], new=90)) for id in range(20, 32)]
    bench.until_over(ids)
    for id in ids:
        usage = done(bench.events[id]).usage
        assert usage.generated_tokens == len(tokens(bench.events[id])) == 90
        assert finishes(bench.events[id])[0].reason is FinishReason.LENGTH


def test_the_prefix_cache_changes_no_answer(engine: str, exact: Bench, files_of: FilesOf) -> None:
    without = loaded(engine, files_of(engine), precision="exact", prefix_cache=False)
    work = generation(ids=[0, *range(60, 200)], new=30)
    expected = token_ids(without.run(work))
    assert token_ids(exact.run(work)) == expected
    assert token_ids(exact.run(work)) == expected


def test_a_long_prompt_goes_in_pieces(bench: Bench) -> None:
    events = bench.run(generation(ids=[0, *range(2, 252)], new=5))
    assert len(tokens(events)) == 5
