"""What tokens look like, and that nothing but the whole token counts."""

import hashlib
import random
import re
import zlib

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pronto.accounts.tokens import (
    ALPHABET,
    LENGTH,
    TOKEN_PATTERN,
    Grant,
    digest,
    issue,
    looks_valid,
    mint,
)
from pronto.core.identity import Role

SEEDS = st.integers(0, 2**64)


def minted(seed):
    return mint(random.Random(seed))


@given(seed=SEEDS)
def test_a_token_has_the_form_that_clients_want(seed):
    token = minted(seed)
    assert re.fullmatch(r"hf_[0-9A-Za-z]{38}", token)
    assert len(token) == LENGTH == 41
    assert looks_valid(token)


@given(seed=SEEDS)
def test_the_last_six_are_the_crc32_of_the_rest_in_base62(seed):
    token = minted(seed)
    number = 0
    for letter in token[-6:]:
        number = number * 62 + ALPHABET.index(letter)
    assert number == zlib.crc32(token[:-6].encode())


def test_a_small_checksum_is_padded():
    small = next(token for token in map(minted, range(5000)) if token[-6] == "0")
    assert len(small) == LENGTH
    assert looks_valid(small)


def test_two_tokens_are_never_the_same():
    assert len({mint() for _ in range(1000)}) == 1000


@given(seed=SEEDS, at=st.integers(0, LENGTH - 1), letter=st.sampled_from(ALPHABET))
def test_one_wrong_letter_is_noticed(seed, at, letter):
    token = minted(seed)
    assume(token[at] != letter)
    assert not looks_valid(token[:at] + letter + token[at + 1 :])


@pytest.mark.parametrize(
    "change",
    [
        lambda t: "",
        lambda t: t[:-1],
        lambda t: t + "A",
        lambda t: t + " ",
        lambda t: t + "\n",
        lambda t: " " + t,
        lambda t: t.upper(),
        lambda t: "hF_" + t[3:],
        lambda t: t[:20] + "\x00" + t[21:],
        lambda t: t[:20] + "é" + t[21:],
        lambda t: t[:20] + "\ud800" + t[21:],
        lambda t: "\u0660" * 41,
        lambda t: t * 25_000,
    ],
)
def test_what_is_no_token_does_not_look_like_one(change):
    assert not looks_valid(change(minted(1)))


@given(text=st.text(max_size=60))
def test_any_text_can_be_asked_about(text):
    assert not looks_valid(text)
    assert len(digest(text)) == 32


@given(seed=SEEDS, cut=st.integers(0, LENGTH), tail=st.text(max_size=40))
def test_tokens_that_share_a_beginning_share_no_digest(seed, cut, tail):
    token = minted(seed)
    other = token[:cut] + tail
    assert (digest(other) == digest(token)) == (other == token)


def test_the_digest_is_sha_256():
    assert digest("hf_abc") == hashlib.sha256(b"hf_abc").digest()


@given(seed=SEEDS)
def test_the_pattern_finds_a_token_in_a_line_of_a_log(seed):
    token = minted(seed)
    assert TOKEN_PATTERN.sub("-", f'GET / "Bearer {token}" (x={token},y)') == 'GET / "Bearer -" (x=-,y)'
    assert TOKEN_PATTERN.search("hf_" + "a" * 34) is None


def test_an_issued_token_is_kept_as_its_digest_only():
    grant = Grant(account_id=4, name="laptop", role=Role.FINE_GRAINED, scopes=("a.b",), expires=9.0)
    token, row = issue(grant, 5.0, random.Random(3))
    assert looks_valid(token)
    assert row.digest == digest(token)
    assert row.last4 == token[-4:]
    assert (row.account_id, row.name, row.role, row.scopes) == (4, "laptop", "fineGrained", ("a.b",))
    assert (row.created, row.expires, row.revoked, row.last_used) == (5.0, 9.0, None, None)
    assert token not in repr(row)
    assert token[3:-4] not in repr(row)
