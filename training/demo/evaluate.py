"""Measures an exported model on the held-out files, and prints the numbers of the model card as JSON.

    python -m training.demo.evaluate --work FOLDER --model FOLDER

The functions and lines that it asks for, and the answers, go to answers.json beside the data.
"""

import argparse
import json
import lzma
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
from tokenizers import Tokenizer

from training.demo import ngram
from training.demo.infill import BEGIN
from training.demo.serving import Scorer, greedy
from training.demo.tasks import cut, functions, is_body, lines

SEED = 7
_TEXT = 600_000  # bytes of held-out source for the bits per byte
_FUNCTIONS, _FUNCTION_TOKENS = 200, 96
_LINES, _LINE_TOKENS = 200, 48


def held_out(work: Path) -> list[str]:
    """The held-out files, always in the same random order."""
    texts = [json.loads(row)["text"] for row in (work / "held_out.jsonl").read_text().splitlines()]
    random.Random(SEED).shuffle(texts)
    return texts


def bits_per_byte(work: Path, model: Path, tokenizer: Tokenizer, texts: Sequence[str], seen: int) -> dict[str, float]:
    """Of the model, of `xz -9`, and of 5-gram models of its tokens over all training text and over what it saw."""
    rows = [tokenizer.encode(text).ids for text in texts]
    size = sum(len(text.encode()) for text in texts)
    scorer = Scorer(model)
    model_nats = sum(float(scorer.nats(row).sum()) for row in rows)
    train = numpy.load(work / "train.npy", mmap_mode="r")
    test = numpy.concatenate([numpy.array(row) for row in rows])
    is_text = test != tokenizer.token_to_id(BEGIN)
    vocabulary = tokenizer.get_vocab_size()

    def of_ngrams(tokens: int) -> float:
        losses = ngram.nats(numpy.asarray(train[:tokens]), test, 5, vocabulary)
        return _bits(float(losses[is_text].sum()), size)

    return {
        "bytes": size,
        "bytes_per_token": size / int(is_text.sum()),
        "model": _bits(model_nats, size),
        "xz": 8 * len(lzma.compress("".join(texts).encode(), preset=9)) / size,
        "five_gram": of_ngrams(len(train)),
        "five_gram_as_many_tokens": of_ngrams(min(seen or len(train), len(train))),
    }


def completions(model: Path, tokenizer: Tokenizer, texts: Sequence[str]) -> tuple[float, list[dict[str, Any]]]:
    """Share of function bodies that parse, and all of them."""
    # Without its line end: the tokenizer joins that with the indentation behind it, and alone it means no indentation.
    heads = [function.head.rstrip("\n") for function in functions(texts, _FUNCTIONS, SEED)]
    answers = greedy(model, [tokenizer.encode(head).ids for head in heads], _FUNCTION_TOKENS)
    wholes = [cut(head, answer) for head, answer in zip(heads, answers, strict=True)]
    rows = [
        {"head": head, "whole": whole, "parses": is_body(head, whole)}
        for head, whole in zip(heads, wholes, strict=True)
    ]
    return _share([row["parses"] for row in rows]), rows


def infills(model: Path, tokenizer: Tokenizer, texts: Sequence[str]) -> tuple[float, list[dict[str, Any]]]:
    """Share of single lines that come out exactly, and all of them."""
    asked = lines(texts, _LINES, SEED)
    answers = greedy(model, [tokenizer.encode(line.prompt).ids for line in asked], _LINE_TOKENS)
    rows = [
        {"text": line.text, "answer": answer, "exact": answer.rstrip() == line.text.rstrip()}
        for line, answer in zip(asked, answers, strict=True)
    ]
    return _share([row["exact"] for row in rows]), rows


def evaluate(work: Path, model: Path, seen: int) -> dict[str, Any]:
    """All numbers; takes a few minutes on two cores."""
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    texts = held_out(work)
    parsed, bodies = completions(model, tokenizer, texts)
    exact, filled = infills(model, tokenizer, texts)
    (work / "answers.json").write_text(json.dumps({"functions": bodies, "lines": filled}, indent=1))
    result: dict[str, Any] = {
        "parse_share": parsed,
        "functions": len(bodies),
        "exact_lines": exact,
        "lines": len(filled),
    }
    return {**result, "bits_per_byte": bits_per_byte(work, model, tokenizer, _some(texts), seen)}


def _some(texts: Sequence[str]) -> list[str]:
    chosen: list[str] = []
    for text in texts:
        if sum(map(len, chosen)) + len(text) <= _TEXT:
            chosen.append(text)
    return chosen


def _bits(nats: float, size: int) -> float:
    return nats / size / float(numpy.log(2))


def _share(held: Sequence[bool]) -> float:
    return sum(held) / max(1, len(held))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="what prepare.py wrote")
    parser.add_argument("--model", type=Path, required=True, help="what export.py wrote")
    parser.add_argument("--seen", type=int, default=0, help="tokens that the model saw; 0: all of them once")
    arguments = parser.parse_args()
    print(json.dumps(evaluate(arguments.work, arguments.model, arguments.seen), indent=1))


if __name__ == "__main__":
    main()
