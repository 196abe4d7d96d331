"""Makes the training data: corpus, tokenizer and token arrays.

    python -m training.demo.prepare --work FOLDER

Writes to FOLDER: tokenizer/, train.npy and held_out.npy (uint16), held_out.jsonl, sources.tsv.
"""

import argparse
import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from training.demo.corpus import Document, Kept, documents
from training.demo.infill import BEGIN, END, EOT, MID, PRE, SUF, Infill, Plain, forms

SEED = 20
VOCABULARY = 8192
SPECIALS = ("<unk>", BEGIN, END, PRE, SUF, MID, EOT)  # in the order of their ids
_SAMPLE = 25_000_000  # characters to train the tokenizer on; more changes little and takes long
_BATCH = 512  # documents tokenized together
_TEMPLATE = "{{ bos_token }}{% for message in messages %}{{ message['content'] }}{% endfor %}"


def train_tokenizer(texts: Iterable[str], vocabulary: int = VOCABULARY) -> Tokenizer:
    """Byte-level BPE with Code Llama's infill tokens; encoding puts `<s>` in front."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[AddedToken(name, special=True, normalized=False) for name in SPECIALS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=32,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    begin = tokenizer.token_to_id(BEGIN)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A", pair=f"{BEGIN} $A $B", special_tokens=[(BEGIN, begin)]
    )
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path, context: int = 1024) -> None:
    """Write the files that `transformers` and Pronto read."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BEGIN,
        "eos_token": END,
        "unk_token": "<unk>",
        "pad_token": END,
        "model_max_length": context,
        "clean_up_tokenization_spaces": False,
        "chat_template": _TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n")


def encode(tokenizer: Tokenizer, made: Sequence[Plain | Infill]) -> list[list[int]]:
    """Token ids of documents, with the special tokens that begin, part and end them."""
    ids = {name: tokenizer.token_to_id(name) for name in SPECIALS}
    parts = [
        part
        for each in made
        for part in ([each.text] if isinstance(each, Plain) else [each.prefix, each.suffix, each.middle])
    ]
    coded = iter(tokenizer.encode_batch_fast(parts, add_special_tokens=False))
    rows: list[list[int]] = []
    for each in made:
        if isinstance(each, Plain):
            rows.append([ids[BEGIN], *next(coded).ids, ids[END]])
        else:
            prefix, suffix, middle = (next(coded).ids for _ in range(3))
            rows.append([ids[BEGIN], ids[PRE], *prefix, ids[SUF], *suffix, ids[MID], *middle, ids[EOT]])
    return rows


def token_array(tokenizer: Tokenizer, texts: Sequence[str], rng: random.Random) -> numpy.ndarray:
    """All documents of some files, shuffled, one after the other: uint16, shape (tokens,)."""
    made = [form for text in texts for form in forms(text, rng)]
    rng.shuffle(made)
    rows: list[numpy.ndarray] = []
    for start in range(0, len(made), _BATCH):
        rows += [numpy.array(row, dtype=numpy.uint16) for row in encode(tokenizer, made[start : start + _BATCH])]
        print(f"\rtokenized {min(start + _BATCH, len(made))} of {len(made)} documents", end="", flush=True)
    print()
    return numpy.concatenate(rows)


def write_sources(accounts: Sequence[Kept], path: Path) -> None:
    """The list of what went in, with licences and bytes; and what was left out and why."""
    head = ("source", "version", "licence", "files", "bytes", "held_out_files", "held_out_bytes", "left_out")
    lines = ["\t".join(head)]
    for kept in sorted(accounts, key=lambda each: -each.bytes):
        source = kept.source
        left_out = source.refused or ", ".join(f"{count} {reason}" for reason, count in sorted(kept.dropped.items()))
        numbers = (kept.files, kept.bytes, kept.held_out_files, kept.held_out_bytes)
        lines.append("\t".join([source.name, source.version, source.licence, *map(str, numbers), left_out]))
    path.write_text("\n".join(lines) + "\n")


def prepare(work: Path, seed: int = SEED) -> None:
    """Do it all; takes some two minutes on two cores."""
    work.mkdir(parents=True, exist_ok=True)
    chosen, accounts = documents(seed)
    write_sources(accounts, work / "sources.tsv")
    train = [each.text for each in chosen if not each.is_held_out]
    held_out = [each for each in chosen if each.is_held_out]
    _write_held_out(held_out, work / "held_out.jsonl")
    print(f"{len(train)} files, {sum(map(len, train)):,} characters to train on; {len(held_out)} files held out")
    tokenizer = train_tokenizer(_sample(train))
    save_tokenizer(tokenizer, work / "tokenizer")
    numpy.save(work / "train.npy", token_array(tokenizer, train, random.Random(seed)))
    numpy.save(work / "held_out.npy", token_array(tokenizer, [each.text for each in held_out], random.Random(seed)))
    print(f"{len(numpy.load(work / 'train.npy', mmap_mode='r')):,} tokens in {work / 'train.npy'}")


def _sample(texts: Sequence[str]) -> Iterable[str]:
    size = 0
    for text in texts:
        size += len(text)
        if size > _SAMPLE:
            return
        yield text


def _write_held_out(held_out: Sequence[Document], path: Path) -> None:
    rows = (json.dumps({"path": each.path, "source": each.source, "text": each.text}) for each in held_out)
    path.write_text("\n".join(rows) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for what is made; some 200 MB")
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()
    prepare(arguments.work, arguments.seed)


if __name__ == "__main__":
    main()
