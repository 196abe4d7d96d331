"""The preparation engine with conversations, tools, infilling, unset sampling and plain tokenizing."""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from pronto.core.events import Done, Output, Prepared, Tokenized
from pronto.core.request import (
    ChatPrompt,
    Grammar,
    InferenceRequest,
    InfillPrompt,
    Message,
    Prepare,
    Prompt,
    Sampling,
    TextGeneration,
    TextPrompt,
    Thinking,
    Tokenize,
    TokenPrompt,
    Tool,
)
from pronto.core.tasks import Task
from pronto.engines.base import EngineEvent, Failed
from pronto.engines.prepare import PrepareEngine
from tests.contract.engine_scenes import load, model
from tests.tiny_models import build_tiny_llama

CONTEXT = 4096
USER = Message(role="user", content="Hi <b>")
CHATML = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}\n{% endfor %}<|assistant|>"
TOOL = Tool(name="add", parameters='{"type":"object","properties":{"a":{"type":"integer"}}}')
STYLES = {
    "starcoder": ("<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<|endoftext|>"),
    "qwen": ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|fim_pad|>"),
    "deepseek": (
        "<\uff5cfim▁begin\uff5c>",
        "<\uff5cfim▁hole\uff5c>",
        "<\uff5cfim▁end\uff5c>",
        "<\uff5cend▁of▁sentence\uff5c>",
    ),
}


@pytest.fixture
def engine() -> PrepareEngine:
    engine = PrepareEngine(now=lambda: datetime(2024, 7, 26))
    load(engine, model("prepare"))
    return engine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return build_tiny_llama(tmp_path / "tiny")


def ask(engine: PrepareEngine, work: Prepare | Tokenize) -> EngineEvent:
    engine.add(1, InferenceRequest(id="r", model="tiny", task=Task.PREPARE, work=work))
    said = [event for _, event in engine.step()]
    assert [type(event) for event in said] in ([Failed], [Output, Done])
    return said[0]


def prepared(
    engine: PrepareEngine, folder: Path | str, prompt: Prompt, /, template: str | None = None, **more: Any
) -> Prepared:
    work = TextGeneration(prompt=prompt, **more)
    name = "openvino" if folder else "echo"
    asked = Prepare(folder=str(folder), engine=name, context=CONTEXT, work=work, chat_template=template)
    event = ask(engine, asked)
    assert isinstance(event, Output), event
    assert isinstance(event.value, Prepared)
    return event.value


def refused(engine: PrepareEngine, folder: Path, prompt: Prompt, /, template: str | None = None, **more: Any) -> Failed:
    work = TextGeneration(prompt=prompt, **more)
    asked = Prepare(folder=str(folder), engine="openvino", context=CONTEXT, work=work, chat_template=template)
    event = ask(engine, asked)
    assert isinstance(event, Failed)
    return event


def tokenized(engine: PrepareEngine, folder: Path | str, prompt: Prompt, template: str | None = None) -> Tokenized:
    name = "openvino" if folder else "echo"
    event = ask(engine, Tokenize(prompt=prompt, folder=str(folder), engine=name, chat_template=template))
    assert isinstance(event, Output), event
    assert isinstance(event.value, Tokenized)
    return event.value


def configure(folder: Path, name: str, **entries: Any) -> None:
    path = folder / name
    config = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**config, **entries}))


def chat(*messages: Message, **more: Any) -> ChatPrompt:
    return ChatPrompt(messages=messages or (USER,), **more)


def test_a_conversation_becomes_ids_with_one_first_token(engine: PrepareEngine, folder: Path) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    configure(folder, "tokenizer_config.json", chat_template="{{ bos_token }}" + CHATML)
    text = "<s><|user|>Hi <b>\n<|assistant|>"
    answer = prepared(engine, folder, chat())
    assert answer.ids == tokenizer.encode(text, add_special_tokens=False).ids
    assert answer.ids.count(0) == 1
    assert (answer.prompt_characters, answer.tool_style, answer.thinking, answer.grammar) == (
        len(text),
        None,
        None,
        None,
    )
    without = prepared(engine, folder, chat(), template=CHATML)
    assert without.ids == answer.ids[1:]


def test_the_catalogs_system_prompt_reaches_the_template(engine: PrepareEngine, folder: Path) -> None:
    work = Tokenize(
        prompt=chat(), folder=str(folder), engine="openvino", chat_template=CHATML, system_prompt="Be kind."
    )
    event = ask(engine, work)
    assert isinstance(event, Output)
    assert isinstance(event.value, Tokenized)
    assert event.value.text.startswith("<|system|>Be kind.\n<|user|>Hi")


def test_a_model_without_a_template_says_so(engine: PrepareEngine, folder: Path) -> None:
    failed = refused(engine, folder, chat())
    assert failed.kind == "invalid_input"
    assert "has no chat template" in failed.message


def test_a_model_without_a_template_continues_what_may_be_plain(engine: PrepareEngine, folder: Path) -> None:
    asked = ChatPrompt(messages=(USER,), plain="Be kind.\n\nHi <b>")
    plain = prepared(engine, folder, TextPrompt("Be kind.\n\nHi <b>"))
    assert prepared(engine, folder, asked).ids == plain.ids
    assert prepared(engine, folder, asked, template=CHATML).ids == prepared(engine, folder, chat(), CHATML).ids
    event = ask(engine, Tokenize(prompt=asked, folder=str(folder), engine="openvino"))
    assert isinstance(event, Output)
    assert isinstance(event.value, Tokenized)
    assert event.value.text == "Be kind.\n\nHi <b>"


def test_templates_refuse_in_their_own_words(engine: PrepareEngine, folder: Path) -> None:
    failed = refused(engine, folder, chat(USER, USER), template="{{ raise_exception('Roles must alternate') }}")
    assert (failed.kind, failed.param) == ("invalid_input", "messages")
    assert "Roles must alternate (a message of the role `user` follows another one)" in failed.message


def test_tools_have_the_templates_style(engine: PrepareEngine, folder: Path) -> None:
    knowing = CHATML + "{% if tools %}{{ tools | tojson }}<tool_call>{% endif %}"
    assert prepared(engine, folder, chat(tools=(TOOL,)), template=knowing).tool_style == "hermes"
    assert prepared(engine, folder, chat(tools=(TOOL,)), template=CHATML).tool_style == "json"
    assert prepared(engine, folder, chat(tools=(TOOL,), tool_choice="none"), template=knowing).tool_style is None
    assert prepared(engine, folder, chat(), template=knowing).tool_style is None
    assert "You may call these tools" in tokenized(engine, folder, chat(tools=(TOOL,)), CHATML).text


def test_a_call_that_must_be_made_is_a_grammar(engine: PrepareEngine, folder: Path) -> None:
    named = chat(tools=(TOOL,), tool_choice="named", tool_name="add")
    answer = prepared(engine, folder, named, template=CHATML + "<tool_call>{{ tools }}")
    assert answer.tool_style == "json"
    assert answer.grammar is not None
    assert json.loads(answer.grammar.value)["properties"]["name"] == {"const": "add"}
    grammar = Grammar("regex", "a")
    assert refused(engine, folder, named, template=CHATML, grammar=grammar).param == "tool_choice"
    assert refused(engine, folder, chat(tool_choice="required"), template=CHATML).param == "tool_choice"


def test_an_asked_grammar_comes_back_and_is_no_call(engine: PrepareEngine, folder: Path) -> None:
    grammar = Grammar("json_schema", '{"type":"object"}')
    answer = prepared(engine, folder, chat(tools=(TOOL,)), template=CHATML, grammar=grammar)
    assert (answer.grammar, answer.tool_style) == (grammar, None)


def test_thinking_is_told_by_template_or_vocabulary(engine: PrepareEngine, folder: Path) -> None:
    assert prepared(engine, folder, chat(), template=CHATML).thinking is None
    told = CHATML + "{% if false %}</think>{% endif %}"
    assert prepared(engine, folder, chat(), template=told).thinking == Thinking("<think>", "</think>")
    opened = prepared(engine, folder, chat(), template=CHATML + "<think>\n{# </think> #}")
    assert opened.thinking == Thinking("<think>", "</think>", True)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_tokens(["<think>", "</think>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    assert prepared(engine, folder, chat(), template=CHATML).thinking == Thinking("<think>", "</think>")
    assert prepared(engine, folder, TextPrompt("Hi")).thinking is None


def test_what_is_unset_comes_from_generation_config(engine: PrepareEngine, folder: Path) -> None:
    configure(folder, "generation_config.json", temperature=0.6, top_p=0.9, do_sample=False)
    unset = ("temperature", "top_p", "top_k")
    expected = Sampling(do_sample=True, temperature=0.6, top_p=0.9)
    assert prepared(engine, folder, TextPrompt("Hi"), unset=unset).sampling == expected
    assert prepared(engine, folder, TextPrompt("Hi")).sampling is None
    assert prepared(engine, "", TextPrompt("Hi"), unset=unset).sampling == Sampling(do_sample=True)


def test_echo_says_the_last_message_back(engine: PrepareEngine) -> None:
    answer = prepared(engine, "", chat(Message(role="system", content="x"), USER, tools=(TOOL,)))
    assert "".join(map(chr, answer.ids)) == "Hi <b>"
    assert (answer.tool_style, answer.thinking) == ("hermes", Thinking("<think>", "</think>"))
    assert prepared(engine, "", chat()).tool_style is None
    forced = prepared(engine, "", chat(tools=(TOOL,), tool_choice="required"))
    assert (forced.grammar, forced.tool_style) == (None, "hermes")


def byte_level(folder: Path, added: Sequence[str], *, bos: str | None = None) -> Path:
    """A tokenizer whose tokens are bytes, as StarCoder's, Qwen's and DeepSeek's are beneath their merges."""
    folder.mkdir()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: id for id, letter in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in added])
    if bos is not None:
        id = tokenizer.token_to_id(bos)
        tokenizer.post_processor = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, id)])
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def code_llama(folder: Path, marks: Sequence[str] = ("▁<PRE>", "▁<MID>", "▁<SUF>", "▁<EOT>")) -> Path:
    """A tokenizer that treats spaces as Code Llama's does: one before the text, and byte tokens for what is unknown."""
    folder.mkdir()
    words = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *"abcdefgh():"]
    tokenizer = Tokenizer(
        models.BPE({word: id for id, word in enumerate(words)}, [], unk_token="<unk>", byte_fallback=True)
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in ("<s>", "</s>", *marks)])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.mark.parametrize("style", STYLES)
def test_a_hole_is_marked_with_the_models_own_tokens(engine: PrepareEngine, tmp_path: Path, style: str) -> None:
    begin, hole, end, last = STYLES[style]
    folder = byte_level(tmp_path / style, ["<bos>", *STYLES[style]], bos="<bos>" if style == "deepseek" else None)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    answer = prepared(engine, folder, InfillPrompt(prefix="def f(", suffix="):\n  pass"))
    written = f"{begin}def f({hole}):\n  pass{end}"
    assert answer.ids == tokenizer.encode(written).ids
    assert tokenizer.token_to_id(last) in answer.stop_ids
    by_hand = prepared(engine, folder, TextPrompt(written))
    assert (by_hand.ids, by_hand.stop_ids) == (answer.ids, answer.stop_ids)
    assert answer.prompt_characters == len(written)
    assert tokenized(engine, folder, InfillPrompt(prefix="a", suffix="b")).text == f"{begin}a{hole}b{end}"


def test_code_llamas_hole_is_spaced_as_published(engine: PrepareEngine, tmp_path: Path) -> None:
    folder = code_llama(tmp_path / "code")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    answer = prepared(engine, folder, InfillPrompt(prefix="def f(", suffix=" a):"))
    spelled = [tokenizer.id_to_token(id) for id in answer.ids]
    assert spelled == ["<s>", "▁<PRE>", "▁", *"def", "▁", *"f(", "▁<SUF>", "▁", *"a):", "▁<MID>"]
    assert answer.stop_ids == (tokenizer.token_to_id("▁<EOT>"),)


@pytest.mark.parametrize("first", ["", "<s>"])
@pytest.mark.parametrize(("prefix", "suffix"), [("def f(", " a):"), ("", "a"), ("a\n", ""), ("", "")])
def test_code_llamas_prompt_by_hand_is_the_same(
    engine: PrepareEngine, tmp_path: Path, first: str, prefix: str, suffix: str
) -> None:
    folder = code_llama(tmp_path / "code")
    by_hand = prepared(engine, folder, TextPrompt(f"{first}<PRE> {prefix} <SUF>{suffix} <MID>"))
    asked = prepared(engine, folder, InfillPrompt(prefix=prefix, suffix=suffix))
    assert (by_hand.ids, by_hand.stop_ids) == (asked.ids, asked.stop_ids)


def test_codestral_reads_the_suffix_first(engine: PrepareEngine, tmp_path: Path) -> None:
    folder = byte_level(tmp_path / "tekken", ["<s>", "[PREFIX]", "[SUFFIX]"], bos="<s>")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    answer = prepared(engine, folder, InfillPrompt(prefix="def f(", suffix="):"))
    assert answer.ids == tokenizer.encode("[SUFFIX]):[PREFIX]def f(").ids
    assert answer.stop_ids == ()
    assert tokenized(engine, folder, InfillPrompt(prefix="a", suffix="b")).text == "[SUFFIX]b[PREFIX]a"


def test_codestrals_spaces_are_sentencepieces(engine: PrepareEngine, tmp_path: Path) -> None:
    folder = code_llama(tmp_path / "code", marks=["[PREFIX]", "[SUFFIX]"])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    answer = prepared(engine, folder, InfillPrompt(prefix="def", suffix=" a):"))
    spelled = [tokenizer.id_to_token(id) for id in answer.ids]
    assert spelled == ["<s>", "[SUFFIX]", "▁", *"a):", "[PREFIX]", "▁", *"def"]


def test_models_without_infill_tokens_refuse_suffix_by_name(engine: PrepareEngine, folder: Path) -> None:
    failed = refused(engine, folder, InfillPrompt(prefix="a", suffix="b"))
    assert (failed.kind, failed.param) == ("unsupported", "suffix")
    assert "`suffix`" in failed.message
    assert prepared(engine, folder, TextPrompt("<PRE> a <SUF>b <MID>")).stop_ids == ()


def test_pieces_stand_where_they_are_in_the_text(engine: PrepareEngine, folder: Path) -> None:
    text = "Hello ünï"
    answer = tokenized(engine, folder, TextPrompt(text))
    assert answer.text == text
    assert [piece.id for piece in answer.pieces] == prepared(engine, folder, TextPrompt(text)).ids
    first, *others = answer.pieces
    assert (first.id, first.text, first.start, first.stop) == (0, "<s>", 0, 0)
    assert others[0].start == 0
    assert others[-1].stop == len(text)
    assert all(piece.text == text[piece.start : piece.stop] for piece in others)


def test_every_kind_of_prompt_can_be_tokenized(engine: PrepareEngine, folder: Path) -> None:
    conversation = tokenized(engine, folder, chat(), CHATML)
    assert conversation.text == "<|user|>Hi <b>\n<|assistant|>"
    assert conversation.pieces[0].start == 0 < conversation.pieces[0].stop
    assert [piece.id for piece in tokenized(engine, folder, TokenPrompt([72, 101])).pieces] == [72, 101]
    echoed = tokenized(engine, "", TextPrompt("añ"))
    assert [(piece.id, piece.text, piece.start, piece.stop) for piece in echoed.pieces] == [
        (97, "a", 0, 1),
        (241, "ñ", 1, 2),
    ]


@pytest.mark.parametrize("prompt", [TextPrompt(""), TextPrompt("\ud800"), TokenPrompt([-1]), TokenPrompt([2**70])])
def test_what_cannot_be_tokenized_is_refused(engine: PrepareEngine, folder: Path, prompt: Prompt) -> None:
    event = ask(engine, Tokenize(prompt=prompt, folder=str(folder), engine="openvino"))
    assert isinstance(event, Failed)
    assert event.kind == "invalid_input"
