"""The model of the benchmarks: a Llama of 100 million random fp16 parameters, and prompts of an exact length for it."""

import random
from pathlib import Path

from pronto.catalog.demo import CORPUS, LlamaShape, write_llama

SHAPE = LlamaShape(vocab=16000, hidden=768, intermediate=2048, layers=12, heads=12, head=64)
FILLER = "a"  # one token, after a space or not


def write(folder: Path) -> None:
    """Write the model, unless it is there. It never says its end-of-text token, so that every answer has its length."""
    if (folder / "config.json").exists():
        return
    write_llama(folder, SHAPE)
    from safetensors.numpy import load_file, save_file

    weights = load_file(str(folder / "model.safetensors"))
    # All other rows are random with mean 0: among 16,000 logits the largest is never below this one's 0.
    weights["lm_head.weight"][1] = 0
    save_file(weights, str(folder / "model.safetensors"), metadata={"format": "pt"})


def prompts(folder: Path, count: int, tokens: int, seed: int) -> tuple[list[str], list[list[int]]]:
    """Different texts of exactly `tokens` token ids each (the one for the beginning included), and those ids."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    words, rng = CORPUS.split(), random.Random(seed)
    texts: list[str] = []
    while len(texts) < count:
        text = " ".join(rng.choices(words, k=tokens))
        while len(tokenizer.encode(text).ids) > tokens:
            text = text.rpartition(" ")[0]
        text += f" {FILLER}" * (tokens - len(tokenizer.encode(text).ids))
        if len(tokenizer.encode(text).ids) == tokens:
            texts.append(text)
    return texts, [list(tokenizer.encode(text).ids) for text in texts]
