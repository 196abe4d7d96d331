"""Ids to text: every decoder, in any order of ids, adds up to what the tokenizer itself says."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from pronto.core.events import FinishReason
from pronto.core.request import Grammar, TextGeneration, TokenPrompt
from pronto.engines.text.continuation import Continuation, Vocabulary
from pronto.engines.text.detokenize import Detokenizer
from tests.tiny_models import build_tiny_llama

VOCAB = 512


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_llama(tmp_path_factory.mktemp("tiny") / "llama", vocab=VOCAB, hidden=16, layers=1)


@pytest.fixture(scope="module")
def bytewise(folder: Path) -> Detokenizer:
    return Detokenizer(folder)


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def spell(detokenizer: Detokenizer, ids: list[int], prompt: tuple[int, ...] = ()) -> list[str]:
    stream = detokenizer.stream(prompt)
    return [*(stream.feed(id) for id in ids), stream.flush()]


def save(folder: Path, tokenizer: Tokenizer) -> Detokenizer:
    tokenizer.save(str(folder / "tokenizer.json"))
    return Detokenizer(folder)


@given(ids=st.lists(st.integers(2, VOCAB - 1), max_size=40))
def test_any_ids_add_up_to_the_tokenizers_text(bytewise: Detokenizer, tokenizer: Tokenizer, ids: list[int]) -> None:
    assert "".join(spell(bytewise, ids)) == tokenizer.decode(ids)


@given(text=st.text(max_size=40))
def test_any_text_comes_back(bytewise: Detokenizer, tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text.replace("<", ""), add_special_tokens=False).ids
    assert "".join(spell(bytewise, ids)) == text.replace("<", "")


def test_a_character_leaves_with_its_last_byte(bytewise: Detokenizer, tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("🦊!", add_special_tokens=False).ids
    assert spell(bytewise, ids) == ["", "", "", "🦊", "!", ""]
    assert spell(bytewise, ids[:2]) == ["", "", "\ufffd"]


def test_ids_beyond_the_vocabulary_are_silent(bytewise: Detokenizer) -> None:
    assert spell(bytewise, [VOCAB, VOCAB + 1000]) == ["", "", ""]


def test_special_tokens_are_known(bytewise: Detokenizer) -> None:
    assert bytewise.special == {0, 1}
    assert [bytewise.literal(id) for id in (0, 1, VOCAB + 5)] == ["<s>", "</s>", ""]
    assert bytewise.ids_of(["</s>", "nothing"]) == {1}


def fallback_tokenizer() -> Tokenizer:
    pieces = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁Hello", "▁", "world", "é", "▁▁"]
    tokenizer = Tokenizer(models.BPE({piece: id for id, piece in enumerate(pieces)}, [], byte_fallback=True))
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer


def test_pieces_with_bytes_between_them(tmp_path: Path) -> None:
    tokenizer = fallback_tokenizer()
    detokenizer = save(tmp_path, tokenizer)
    ids = [257, 259, 258, *(1 + byte for byte in "🦊".encode()), 260, 261, 257]
    assert "".join(spell(detokenizer, ids, prompt=(257,))) == " Helloworld 🦊é   Hello"
    assert tokenizer.decode([257, *ids]) == "Hello" + " Helloworld 🦊é   Hello"


@pytest.mark.parametrize("kind", ["metaspace", "wordpiece"])
def test_other_decoders_go_through_a_window(tmp_path: Path, kind: str) -> None:
    if kind == "metaspace":
        tokenizer = Tokenizer(models.WordLevel({"▁one": 0, "▁two": 1, "s": 2, "▁": 3}, unk_token="s"))
        tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    else:
        tokenizer = Tokenizer(models.WordLevel({"one": 0, "two": 1, "##s": 2, ",": 3}, unk_token="one"))
        tokenizer.decoder = decoders.WordPiece()
    detokenizer = save(tmp_path, tokenizer)
    prompt = [0, 1]
    for ids in ([2, 0, 1, 2, 3, 3, 0], [1] * 40, [0, 2, 2, 1]):
        whole = tokenizer.decode([*prompt, *ids])
        assert tokenizer.decode(prompt) + "".join(spell(detokenizer, ids, tuple(prompt))) == whole


def test_a_missing_or_broken_file_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no tokenizer\.json"):
        Detokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"version": 1}')
    with pytest.raises(ValueError, match="cannot be read"):
        Detokenizer(tmp_path)


def grow(bytewise: Detokenizer, ids: list[int], **more: Any) -> tuple[list[str], FinishReason | None]:
    work = TextGeneration(prompt=TokenPrompt([0]), **more)
    continuation = Continuation(Vocabulary(bytewise, frozenset({1})), work, [0], 0)
    texts = []
    for id in ids:
        token = continuation.take(id, None)
        texts.append("" if token.special else token.text)
        if continuation.reason is not None:
            break
    return texts, continuation.reason


def test_half_a_character_leaves_with_the_last_token(bytewise: Detokenizer, tokenizer: Tokenizer) -> None:
    half = tokenizer.encode("🦊", add_special_tokens=False).ids[:2]
    assert grow(bytewise, half, max_new_tokens=2) == (["", "\ufffd"], FinishReason.LENGTH)
    assert grow(bytewise, [*half, 1], max_new_tokens=9) == (["", "", "\ufffd"], FinishReason.EOS)


def test_the_length_comes_first(bytewise: Detokenizer, tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("a b", add_special_tokens=False).ids
    assert grow(bytewise, [ids[0], 1], max_new_tokens=2)[1] is FinishReason.LENGTH
    assert grow(bytewise, ids, max_new_tokens=len(ids), stop=("b",))[1] is FinishReason.LENGTH
    assert grow(bytewise, ids, max_new_tokens=len(ids) + 1, stop=("b",))[1] is FinishReason.STOP


def test_a_whole_json_value_that_was_asked_for_comes_before_all(bytewise: Detokenizer, tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode('{"a": 1} \n', add_special_tokens=False).ids
    shape = Grammar("json_schema", "{}")
    for limit in (99, len(ids)):
        texts, reason = grow(bytewise, ids, max_new_tokens=limit, grammar=shape)
        assert ("".join(texts), reason) == ('{"a": 1}', FinishReason.EOS)
    assert grow(bytewise, ids, max_new_tokens=99, grammar=Grammar("regex", ".*"))[1] is None
    texts, reason = grow(bytewise, ids, max_new_tokens=99, grammar=shape, stop=('"',), keep_stop=False)
    assert ("".join(texts), reason) == ("{", FinishReason.STOP)


def test_a_special_token_amid_the_text_is_no_text(bytewise: Detokenizer, tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("🦊", add_special_tokens=False).ids
    texts, reason = grow(bytewise, [*ids[:2], 0, *ids[2:]], max_new_tokens=9)
    assert "".join(texts) == "🦊"
    assert reason is None
