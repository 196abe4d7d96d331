"""Training documents: nothing of a text is lost, and the token rows say where a hole is."""

import inspect
import random
import textwrap

import numpy
import pytest
from training.demo import ngram
from training.demo.infill import BEGIN, END, EOT, MID, PRE, SUF, Infill, Plain, definitions, forms, infill, pieces
from training.demo.prepare import encode, train_tokenizer

_TEXT = inspect.getsource(textwrap)


@pytest.mark.parametrize("seed", range(20))
def test_forms_keep_every_character(seed: int) -> None:
    made = list(forms(_TEXT, random.Random(seed)))
    assert made
    whole = [form.text if isinstance(form, Plain) else form.prefix + form.middle + form.suffix for form in made]
    assert "".join(whole) == _TEXT


def test_half_of_the_files_become_infill_documents() -> None:
    rng = random.Random(1)
    made = [next(iter(forms(_TEXT, rng))) for _ in range(400)]
    assert 160 < sum(isinstance(form, Infill) for form in made) < 240


def test_definitions_begin_at_the_margin_with_their_decorators() -> None:
    text = "import os\n\n\n@wraps\ndef one():\n    pass\n\n\nclass Two:\n    def inner(self):\n        pass\n"
    assert definitions(text) == [
        "import os\n\n\n",
        "@wraps\ndef one():\n    pass\n\n\n",
        "class Two:\n    def inner(self):\n        pass\n",
    ]


def test_pieces_end_where_lines_end_and_stay_short() -> None:
    found = list(pieces(_TEXT, random.Random(3)))
    assert all(piece.endswith("\n") and len(piece) <= 1600 for piece in found)
    assert len(found) > 5


def test_a_hole_is_never_empty() -> None:
    rng = random.Random(5)
    made = [infill("x = 1\n", rng) for _ in range(200)]
    assert all(form is not None and form.middle for form in made)
    assert infill(" \n", rng) is None


def test_rows_carry_the_special_tokens_and_decode_to_the_text() -> None:
    tokenizer = train_tokenizer([_TEXT], vocabulary=400)
    plain, hole = encode(tokenizer, [Plain("x = 1\n"), Infill("def f(", "): ...\n", "x, y")])
    names = [tokenizer.id_to_token(id) for id in (plain[0], plain[-1], hole[0], hole[1], hole[-1])]
    assert names == [BEGIN, END, BEGIN, PRE, EOT]
    assert tokenizer.decode(plain) == "x = 1\n"
    assert tokenizer.decode(hole, skip_special_tokens=False) == f"{BEGIN}{PRE}def f({SUF}): ...\n{MID}x, y{EOT}"
    assert tokenizer.encode(f"{PRE}def f({SUF}): ...\n{MID}").ids == hole[: hole.index(tokenizer.token_to_id(MID)) + 1]


def test_the_n_gram_model_gives_chances_that_add_up_to_one() -> None:
    rng = numpy.random.default_rng(1)
    train = rng.integers(0, 5, 300)
    history = [1, 3, 2]
    chances = [float(numpy.exp(-ngram.nats(train, numpy.array([*history, token]), 3, 5)[-1])) for token in range(5)]
    assert sum(chances) == pytest.approx(1.0)


def test_the_n_gram_model_is_witten_bells() -> None:
    train, test = numpy.array([0, 1, 0, 1, 0, 2]), numpy.array([0, 1])
    alone = (2 + 3 * (1 / 4)) / (6 + 3)  # two of six tokens, three kinds, a vocabulary of four
    after = (2 + 2 * alone) / (3 + 2)  # after a 0: three tokens of two kinds, two of them a 1
    assert ngram.nats(train, test, 2, 4)[1] == pytest.approx(-numpy.log(after))
