"""The preparation engine: ids, room and refusals, with a real tokenizer and for the echo engine."""

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models

from pronto.core.events import Done, Output, Prepared
from pronto.core.request import InferenceRequest, Prepare, TextGeneration, TextPrompt, TokenPrompt
from pronto.core.tasks import Task
from pronto.engines.base import EngineEvent, Failed
from pronto.engines.prepare import PrepareEngine
from tests.contract.engine_scenes import load, model
from tests.tiny_models import build_tiny_llama

CONTEXT = 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_llama(tmp_path_factory.mktemp("prepare") / "tiny")


@pytest.fixture
def engine() -> PrepareEngine:
    engine = PrepareEngine()
    load(engine, model("prepare"))
    return engine


def ask(engine: PrepareEngine, folder: Path, text: str, /, name: str = "openvino", **more: Any) -> EngineEvent:
    work = TextGeneration(prompt=TextPrompt(text), **more)
    return ask_for(engine, Prepare(folder=str(folder), engine=name, context=CONTEXT, work=work))


def ask_for(engine: PrepareEngine, work: Prepare) -> EngineEvent:
    engine.add(1, InferenceRequest(id="r", model="tiny", task=Task.PREPARE, work=work))
    said = list(engine.step())
    assert {id for id, _ in said} == {1}
    if isinstance(said[0][1], Failed):
        assert len(said) == 1
        return said[0][1]
    assert [type(event) for _, event in said] == [Output, Done]
    return said[0][1]


def prepared(event: EngineEvent) -> Prepared:
    assert isinstance(event, Output)
    assert isinstance(event.value, Prepared)
    return event.value


def refusal(event: EngineEvent) -> str:
    assert isinstance(event, Failed)
    assert event.kind == "invalid_input"
    return event.message


def test_ids_are_the_tokenizers_with_one_first_token(engine: PrepareEngine, folder: Path) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for text in ("The quick brown fox", " a", "ünïcödé 🦊", "line\nline", "</s> is special", "<s"):
        answer = prepared(ask(engine, folder, text))
        assert answer.ids == tokenizer.encode(text).ids
        assert answer.ids[0] == 0
        assert answer.prompt_characters == len(text)
        assert answer.max_new_tokens == CONTEXT - len(answer.ids)


def test_a_prompt_that_begins_with_the_first_token_gets_no_second(engine: PrepareEngine, folder: Path) -> None:
    assert prepared(ask(engine, folder, "<s>Hello")).ids == prepared(ask(engine, folder, "Hello")).ids


def test_special_tokens_written_in_the_prompt_count_as_such(engine: PrepareEngine, folder: Path) -> None:
    assert prepared(ask(engine, folder, "a</s>b")).ids.count(1) == 1


@pytest.mark.parametrize(("wanted", "expected"), [(False, False), (True, True)])
def test_the_tokenizers_config_decides_about_the_first_token(
    engine: PrepareEngine, tmp_path: Path, wanted: bool, expected: bool
) -> None:
    folder = build_tiny_llama(tmp_path / "tiny")
    config = folder / "tokenizer_config.json"
    flag = str(wanted).lower()
    config.write_text(config.read_text().replace("{", f'{{"add_bos_token": {flag},', 1))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    if wanted:  # a file that adds nothing itself
        tokenizer.post_processor = None
        tokenizer.save(str(folder / "tokenizer.json"))
    assert (prepared(ask(engine, folder, "Hello")).ids[0] == 0) is expected


def test_truncate_keeps_the_last_tokens(engine: PrepareEngine, folder: Path) -> None:
    whole = prepared(ask(engine, folder, "one two three four five")).ids
    assert prepared(ask(engine, folder, "one two three four five", truncate=3)).ids == whole[-3:]
    long = "a b " * 200
    assert len(prepared(ask(engine, folder, long, truncate=CONTEXT - 1, max_new_tokens=1)).ids) == CONTEXT - 1


def test_a_longer_truncate_than_the_prompt_changes_nothing(engine: PrepareEngine, folder: Path) -> None:
    assert prepared(ask(engine, folder, "Hello", truncate=60)).ids == prepared(ask(engine, folder, "Hello")).ids


@pytest.mark.parametrize("truncate", [0, -1, CONTEXT, 1000])
def test_truncate_has_bounds(engine: PrepareEngine, folder: Path, truncate: int) -> None:
    expected = f"`truncate` must be strictly positive and less than {CONTEXT}. Given: {truncate}"
    assert refusal(ask(engine, folder, "Hello", truncate=truncate)) == expected


def test_an_empty_prompt_is_refused(engine: PrepareEngine, folder: Path) -> None:
    assert refusal(ask(engine, folder, "")) == "`inputs` cannot be empty"


def test_prompt_and_output_must_fit_together(engine: PrepareEngine, folder: Path) -> None:
    tokens = len(prepared(ask(engine, folder, "Hello")).ids)
    assert prepared(ask(engine, folder, "Hello", max_new_tokens=CONTEXT - tokens)).max_new_tokens == CONTEXT - tokens
    expected = (
        f"`inputs` tokens + `max_new_tokens` must be <= {CONTEXT}. "
        f"Given: {tokens} `inputs` tokens and 1000 `max_new_tokens`"
    )
    assert refusal(ask(engine, folder, "Hello", max_new_tokens=1000)) == expected


def test_a_prompt_must_leave_room(engine: PrepareEngine, folder: Path) -> None:
    tokens = len(Tokenizer.from_file(str(folder / "tokenizer.json")).encode("a b " * 50).ids)
    assert (
        refusal(ask(engine, folder, "a b " * 50)) == f"`inputs` must have less than {CONTEXT} tokens. Given: {tokens}"
    )


def test_no_room_asked_for_is_refused(engine: PrepareEngine, folder: Path) -> None:
    assert refusal(ask(engine, folder, "Hello", max_new_tokens=0)) == "`max_new_tokens` must be strictly positive"


def test_half_a_character_is_refused(engine: PrepareEngine, folder: Path) -> None:
    assert refusal(ask(engine, folder, "a\ud800")) == "`inputs` must be valid Unicode text"


def test_echo_counts_characters(engine: PrepareEngine, folder: Path) -> None:
    answer = prepared(ask(engine, Path(), "añ🦊", name="echo"))
    assert answer.ids == [ord("a"), ord("ñ"), ord("🦊")]
    assert answer.max_new_tokens == CONTEXT - 3


@pytest.mark.parametrize("name", ["echo", "openvino"])
def test_a_prompt_of_ids_is_checked_like_any_other(engine: PrepareEngine, folder: Path, name: str) -> None:
    def ids(*given: int) -> Prepare:
        work = TextGeneration(prompt=TokenPrompt(list(given)))
        return Prepare(folder=str(folder), engine=name, context=CONTEXT, work=work)

    assert prepared(ask_for(engine, ids(72, 101))).ids == [72, 101]
    assert refusal(ask_for(engine, ids())) == "`inputs` cannot be empty"
    assert refusal(ask_for(engine, ids(-5))) == "the prompt has token ids that the model does not know"
    assert "must have less than" in refusal(ask_for(engine, ids(*[72] * 64)))


def test_missing_and_broken_tokenizers_are_the_models_fault(engine: PrepareEngine, tmp_path: Path) -> None:
    missing = ask(engine, tmp_path, "Hello")
    assert isinstance(missing, Failed)
    assert missing.kind == "generation"
    (tmp_path / "tokenizer.json").write_text("{")
    broken = ask(engine, tmp_path, "Hello")
    assert isinstance(broken, Failed)
    assert broken.kind == "generation"
    assert "cannot be read" in broken.message


def test_a_changed_tokenizer_is_read_again(engine: PrepareEngine, tmp_path: Path) -> None:
    folder = build_tiny_llama(tmp_path / "tiny")
    before = prepared(ask(engine, folder, "Hello")).ids
    Tokenizer(models.WordLevel({"Hello": 7, "?": 8}, unk_token="?")).save(str(folder / "tokenizer.json"))
    assert prepared(ask(engine, folder, "Hello")).ids == [7] != before


def test_many_models_do_not_pile_up(engine: PrepareEngine, tmp_path: Path) -> None:
    for number in range(12):
        folder = tmp_path / str(number)
        folder.mkdir()
        Tokenizer(models.WordLevel({"Hello": number}, unk_token="Hello")).save(str(folder / "tokenizer.json"))
        assert prepared(ask(engine, folder, "Hello")).ids == [number]
    assert len(engine._encoders) == 8


def test_a_cancelled_preparation_ends(engine: PrepareEngine, folder: Path) -> None:
    work = Prepare(folder=str(folder), engine="echo", context=CONTEXT, work=TextGeneration(prompt=TextPrompt("a")))
    engine.add(5, InferenceRequest(id="r", model="tiny", task=Task.PREPARE, work=work))
    engine.cancel(5)
    engine.cancel(6)
    assert list(engine.step()) == [(5, Done())]
    assert list(engine.step()) == []
