"""The models that write, through the engine: T5, BART, Marian, M2M100 as `generate` of the library has them."""

import functools
from typing import Any

import pytest

from pronto.core.request import InferenceRequest
from pronto.core.tasks import Task
from pronto.core.text_work import Converse, WriteText, Writing
from pronto.engines.base import Device, Failed
from pronto.engines.batched import Item
from tests.contract.text_scene import Asker, folder_of, model_of

TEXTS = ("The capital of France is Paris.", "A spider has eight legs, and the dog does not mind.", "Yes.")
LONG = "The machine answers. " * 40


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory):
    base = tmp_path_factory.getbasetemp() / "tiny-text"

    @functools.cache
    def make(kind: str, task: Task = Task.TEXT2TEXT_GENERATION) -> Asker:
        return Asker(model_of(folder_of(base, kind), task))

    return make


@functools.cache
def parts(folder: str) -> tuple[Any, Any]:
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    return AutoModelForSeq2SeqLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


def library(asker: Asker, text: str, source: str | None = None, **options: Any) -> list[str]:
    import torch

    model, tokenizer = parts(asker.model.folder)
    if source is not None:
        tokenizer.src_lang = source
    with torch.no_grad():
        ids = model.generate(**tokenizer(text, return_tensors="pt"), **options)
    return [each.strip() for each in tokenizer.batch_decode(ids, skip_special_tokens=True)]


def work(*texts: str, **options: Any) -> WriteText:
    own = {name: options.pop(name) for name in list(options) if name in WriteText.__struct_fields__}
    return WriteText(texts=texts, writing=Writing(**options), **own)


@pytest.mark.parametrize("kind", ["t5", "bart", "marian"])
@pytest.mark.parametrize(
    "options",
    [
        {"max_new_tokens": 12, "num_beams": 1},
        {"max_new_tokens": 10, "num_beams": 3, "num_return_sequences": 2},
        {"max_length": 9, "num_beams": 2, "no_repeat_ngram_size": 2, "length_penalty": 0.5},
        {"min_new_tokens": 5, "max_new_tokens": 8, "num_beams": 1, "repetition_penalty": 1.3},
    ],
)
def test_what_is_written_is_the_library_s_alone_and_in_a_batch(ask, kind: str, options: dict[str, Any]) -> None:
    asker = ask(kind)
    wanted = [library(asker, text, **options) for text in TEXTS]
    together = asker.one(work(*TEXTS, **options))
    assert [list(row) for row in together.rows] == wanted
    apart = asker.ask(*(work(text, **options) for text in TEXTS))
    assert [list(value.rows[0]) for value in apart] == wanted


def test_a_model_s_own_settings_hold_where_nothing_is_asked(ask) -> None:
    asker = ask("marian", Task.TRANSLATION)
    assert list(asker.one(work(TEXTS[0], kind="translation")).rows[0]) == library(asker, TEXTS[0])


def test_the_model_s_own_length_is_never_too_much_for_it(ask) -> None:
    assert 0 < ask("bart").usage(work(TEXTS[0], num_beams=1)).generated_tokens <= 63


def test_a_task_has_its_own_prefix_and_settings(ask) -> None:
    asker = ask("t5", Task.SUMMARIZATION)
    own = {"max_length": 30, "num_beams": 2, "no_repeat_ngram_size": 3}
    wanted = library(asker, "summarize: " + TEXTS[1], **own)
    assert list(asker.one(work(TEXTS[1], kind="summarization")).rows[0]) == wanted
    shorter = asker.one(work(TEXTS[1], kind="summarization", max_length=8))
    assert list(shorter.rows[0]) == library(asker, "summarize: " + TEXTS[1], **{**own, "max_length": 8})
    german = asker.one(work(TEXTS[1], kind="translation", source_language="en", target_language="de"))
    assert list(german.rows[0]) == library(asker, "translate English to German: " + TEXTS[1], max_length=20)


def test_languages_are_tokens_of_the_model(ask) -> None:
    asker = ask("m2m", Task.TRANSLATION)
    _, tokenizer = parts(asker.model.folder)
    wanted, options, codes = [], {"max_new_tokens": 10, "num_beams": 1}, ("fr", "de", "fr")
    for source, target in (("en", "fr"), ("en", "de"), ("de", "fr")):
        first = tokenizer.get_lang_id(target)
        wanted.append(library(asker, TEXTS[0], source, forced_bos_token_id=first, **options))
    asked = [
        work(TEXTS[0], kind="translation", source_language=source, target_language=target, **options)
        for source, target in (("en", "fr"), ("en", "de"), ("de", "fr"))
    ]
    found = [list(value.rows[0]) for value in asker.ask(*asked)]
    # The library leaves the language's own token in the text.
    assert found == [
        [each.removeprefix(f"__{code}__") for each in texts] for code, texts in zip(codes, wanted, strict=True)
    ]
    assert len({tuple(each) for each in wanted}) > 1


def test_marian_is_told_the_language_in_the_text(ask) -> None:
    asker = ask("marian", Task.TRANSLATION)
    found = asker.one(work(TEXTS[0], kind="translation", target_language="deu"))
    assert list(found.rows[0]) == library(asker, ">>deu<< " + TEXTS[0])


@pytest.mark.parametrize(
    ("kind", "options", "param", "words"),
    [
        ("m2m", {"target_language": "tlh"}, "tgt_lang", "not a language"),
        ("m2m", {"source_language": "tlh", "target_language": "de"}, "src_lang", "not a language"),
        ("m2m", {}, "tgt_lang", "missing"),
        ("marian", {"target_language": "spa"}, "tgt_lang", "fra"),
        ("marian", {"source_language": "fin"}, "src_lang", "eng"),
        ("t5", {"source_language": "en", "target_language": "fr"}, "tgt_lang", "en_to_de"),
        ("bart", {"target_language": "fr"}, "tgt_lang", "no languages"),
        ("bart", {"max_new_tokens": 500}, "max_new_tokens", "63"),
        ("bart", {"max_length": 65}, "max_length", "64"),
        ("t5", {"num_return_sequences": 3, "num_beams": 1}, "num_return_sequences", "num_beams"),
        ("t5", {"num_beams": 17}, "num_beams", "16"),
    ],
)
def test_what_a_model_cannot_is_refused_by_name(
    ask, kind: str, options: dict[str, Any], param: str, words: str
) -> None:
    failed = ask(kind, Task.TRANSLATION).failure(work("Hello", kind="translation", **options))
    assert failed.kind in ("invalid_input", "unsupported")
    assert failed.param == param
    assert words in failed.message


def test_the_same_seed_draws_the_same_text(ask) -> None:
    asker = ask("bart")
    options: dict[str, Any] = {"max_new_tokens": 12, "do_sample": True, "temperature": 1.2}
    [first], [again], [other] = (
        value.rows[0]
        for value in asker.ask(
            work(TEXTS[0], seed=5, **options), work(TEXTS[0], seed=5, **options), work(TEXTS[0], seed=6, **options)
        )
    )
    assert first == again != other
    import torch

    torch.manual_seed(5)
    assert library(asker, TEXTS[0], **options) == [first]


def test_what_shades_the_sampling_switches_it_on(ask) -> None:
    asker = ask("bart")
    drawn = {asker.one(work(TEXTS[0], max_new_tokens=12, top_p=0.95, seed=seed)).rows[0][0] for seed in range(4)}
    assert len(drawn) > 1
    cold = {asker.one(work(TEXTS[0], max_new_tokens=12, temperature=0.0, seed=seed)).rows[0][0] for seed in range(3)}
    assert len(cold) == 1


def test_a_text_that_is_too_long_is_refused_or_cut(ask) -> None:
    asker = ask("bart")
    failed = asker.failure(work(LONG, max_new_tokens=3))
    assert failed.param == "inputs"
    assert "64 tokens" in failed.message
    assert asker.usage(work(LONG, max_new_tokens=3, truncate=True)).prompt_tokens == 64


def test_what_is_read_and_written_is_counted(ask) -> None:
    asker = ask("t5")
    _, tokenizer = parts(asker.model.folder)
    usage = asker.usage(work(*TEXTS, max_new_tokens=7, min_new_tokens=7, num_beams=1))
    assert usage.prompt_tokens == sum(map(len, tokenizer(list(TEXTS))["input_ids"]))
    assert usage.generated_tokens == 7 * len(TEXTS)


def test_a_conversation_is_its_turns(ask) -> None:
    asker = ask("bart", Task.CONVERSATIONAL)
    _, tokenizer = parts(asker.model.folder)
    converse = Converse(text="And you?", asked=("Hello",), answered=("I am well.",), writing=Writing(max_new_tokens=9))
    ids = [id for turn in ("Hello", "I am well.", "And you?") for id in (*plain(tokenizer, turn), 2)]
    model, _ = parts(asker.model.folder)
    import torch

    wanted = tokenizer.decode(model.generate(torch.tensor([ids]), max_new_tokens=9)[0], skip_special_tokens=True)
    value = asker.one(converse)
    assert value.rows == ((wanted.strip(),),)
    long = Converse(text="x", asked=(LONG,), answered=("y",), writing=Writing(max_new_tokens=2))
    assert asker.usage(long).prompt_tokens == 64


def plain(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def test_a_long_answer_answers_pings_and_stops_for_those_who_left(ask, monkeypatch: pytest.MonkeyPatch) -> None:
    from pronto.engines.pipelines_text import watch
    from pronto.engines.pipelines_text.engine import TextModel

    monkeypatch.setattr(watch, "EVERY", 0.0)
    model = TextModel()
    model.load(ask("t5").model, Device(threads=1), lambda _: frozenset())
    items: list[Item] = []
    for owner in (1, 2):
        asked = work("Once upon a time", max_new_tokens=60, min_new_tokens=60, num_beams=1)
        request = InferenceRequest(id="r", model="m", task=Task.TEXT2TEXT_GENERATION, work=asked)
        items += [*model.split(request)]
        items[-1].owner = owner
    ticks = 0

    def tick(leaving: frozenset[int]):
        def look(_: Any) -> frozenset[int]:
            nonlocal ticks
            ticks += 1
            return leaving if ticks > 20 else frozenset()

        return look

    short, whole = model.predict(items, tick(frozenset({1})))
    assert ticks > 60
    assert len([id for id in short[1][0] if id]) < len([id for id in whole[1][0] if id]) == 60
    ticks = 0
    assert all(isinstance(value, Failed) for value in model.predict(items, tick(frozenset({1, 2}))))
    assert ticks < 60


def test_scores_that_are_no_numbers_are_an_error(ask, tmp_path) -> None:
    import torch
    from transformers import T5ForConditionalGeneration

    source = ask("t5").model.folder
    broken = T5ForConditionalGeneration.from_pretrained(source)
    with torch.no_grad():
        broken.decoder.final_layer_norm.weight.fill_(float("nan"))
    broken.save_pretrained(tmp_path)
    parts(source)[1].save_pretrained(tmp_path)
    asker = Asker(model_of(tmp_path, Task.TEXT2TEXT_GENERATION))
    for events in asker.events(work(TEXTS[0]), work(TEXTS[1])):
        assert [event.kind for event in events] == ["generation"]
        assert "not a number" in events[0].message
