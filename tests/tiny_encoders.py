"""Tiny encoders made on the spot: real architectures with random weights, what sentence-transformers makes of texts
with them, and their exports by the real export engine. As a program, it builds all of them into a folder.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TEXTS = (
    "A cat sits on the mat.",
    "The dog chased the cat over the wall and into the garden of the neighbours, who did not mind at all.",
    "Rain",
    "Numbers like 12, 42 and 1000 are words too, as are Straße, café and 東京.",
    "",
    "one two three four five six seven eight nine ten " * 8,  # longer than any of them reads
)
PAIRS = (("Which animal sits on the mat?", TEXTS[0]), ("What falls from the sky?", TEXTS[2]), ("long", TEXTS[5]))
LONGEST = 48  # tokens
PROMPTS = {"query": "query: ", "document": "text to find: "}


def build_all(base: Path) -> Path:
    """The folder with all of them beneath `base`, made once by another process: torch stays out of this one."""
    out = base / "tiny-encoders"
    if not out.exists():
        out.mkdir()
        command = [sys.executable, "-W", "ignore", "-m", "tests.tiny_encoders", str(out)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False)
        if done.returncode:
            raise RuntimeError(f"the encoders were not built: {done.stderr[-3000:]}")
    return out


def expected(folder: Path) -> dict[str, Any]:
    """What the library made of the texts."""
    return json.loads((folder / "expected.json").read_text())


def _build(out: Path) -> None:
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(1)
    for name, make in _SENTENCE_MODELS.items():
        folder = out / name / "source"
        make(folder)
        _expect_vectors(folder, out / name)
    for name, (kind, labels) in _HEADS.items():
        folder = out / name / "source"
        _write_encoder(folder, kind, head=True, num_labels=labels)
        _expect_logits(folder, out / name)
    plain = out / "plain" / "source"
    _write_encoder(plain, "bert")
    _expect_tokens(plain, out / "plain")
    for folder in sorted(out.iterdir()):
        _export(folder / "source", folder / "exported")


def _export(source: Path, target: Path, weights: str = "fp16") -> None:
    from pronto.core.request import Export
    from pronto.engines.openvino_export import ENCODER, export

    export(Export(folder=str(source), target=str(target), weights=weights), lambda _: None, ENCODER)


def _tokenizer(kind: str) -> Any:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    is_bert = kind in ("bert", "distilbert")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] if is_bert else ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    first, last, unknown, pad = (2, 3, 1, 0) if is_bert else (0, 2, 3, 1)
    if is_bert:
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    elif kind == "xlm-roberta":
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.UnigramTrainer(
            vocab_size=300, special_tokens=special, unk_token="<unk>", show_progress=False
        )
    else:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
        )
    tokenizer.train_from_iterator([*TEXTS, *PROMPTS.values(), *(query for query, _ in PAIRS)] * 3, trainer)
    begin, end = special[first], special[last]
    between = f"{end}:1" if is_bert else f"{end}:0"
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin}:0 $A:0 {end}:0",
        pair=f"{begin}:0 $A:0 {end}:0 $B:{1 if is_bert else 0} {between}",
        special_tokens=[(begin, first), (end, last)],
    )
    names = {"pad_token": special[pad], "unk_token": special[unknown], "cls_token": begin, "sep_token": end}
    names |= {} if is_bert else {"bos_token": begin, "eos_token": end}
    names |= {"model_input_names": ["input_ids", "attention_mask", *(["token_type_ids"] if kind == "bert" else [])]}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=LONGEST, **names)


def _write_encoder(folder: Path, kind: str, *, head: bool = False, dtype: str = "float32", **more: Any) -> None:
    import torch
    from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

    tokenizer = _tokenizer(kind)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    if kind == "distilbert":
        shape = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}
    if kind == "qwen3":
        shape |= {"num_key_value_heads": 2, "head_dim": 8}
    config = AutoConfig.for_model(
        kind,
        vocab_size=len(tokenizer),
        max_position_embeddings=LONGEST + (2 if kind in ("roberta", "xlm-roberta", "mpnet") else 0),
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.4,  # so that the vectors of texts lie apart
        **shape,
        **more,
    )
    model = (AutoModelForSequenceClassification if head else AutoModel).from_config(config)
    model.to(getattr(torch, dtype)).eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _sentence_model(folder: Path, kind: str, modes: Any, *layers: Any, **pooling: Any) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    encoder = folder.with_name("encoder")
    dtype = pooling.pop("dtype", "float32")
    _write_encoder(encoder, kind, dtype=dtype)
    transformer = Transformer(str(encoder), max_seq_length=LONGEST)
    pool = Pooling(32, pooling_mode=modes, **pooling)
    made = SentenceTransformer(modules=[transformer, pool, *layers], prompts=PROMPTS, device="cpu")
    made.save(str(folder))
    shutil.rmtree(encoder)


def _bert(folder: Path) -> None:
    from sentence_transformers.sentence_transformer.modules import Normalize

    _sentence_model(folder, "bert", "mean", Normalize())


def _roberta(folder: Path) -> None:
    from sentence_transformers.sentence_transformer.modules import Dense

    _sentence_model(folder, "roberta", "cls", Dense(32, 16), Dense(16, 24, activation_function=None))


def _distilbert(folder: Path) -> None:
    from sentence_transformers.sentence_transformer.modules import LayerNorm

    _sentence_model(folder, "distilbert", "max", LayerNorm(32))


def _xlm_roberta(folder: Path) -> None:
    _sentence_model(folder, "xlm-roberta", ("mean_sqrt_len_tokens", "weightedmean"), include_prompt=False)


_SENTENCE_MODELS = {
    "bert": _bert,
    "roberta": _roberta,
    "distilbert": _distilbert,
    "xlm-roberta": _xlm_roberta,
    "mpnet": lambda folder: _sentence_model(folder, "mpnet", "mean"),
    "bfloat16": lambda folder: _sentence_model(folder, "bert", "mean", dtype="bfloat16"),
    "qwen3": lambda folder: _sentence_model(folder, "qwen3", "lasttoken"),
}
_HEADS = {"ranker": ("bert", 1), "labels": ("roberta", 3)}


def _expect_vectors(folder: Path, out: Path) -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": "float32"})
    found = {name: model.encode(list(TEXTS), prompt_name=name, batch_size=4).tolist() for name in (None, "query")}
    _write(out, {"plain": found[None], "query": found["query"]})


def _expect_tokens(folder: Path, out: Path) -> None:
    from transformers import AutoModel, AutoTokenizer, pipeline

    tokenizer = AutoTokenizer.from_pretrained(folder)
    made = pipeline("feature-extraction", model=AutoModel.from_pretrained(folder), tokenizer=tokenizer)
    _write(out, {"tokens": made(list(TEXTS), tokenize_kwargs={"truncation": True})})


def _expect_logits(folder: Path, out: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    with torch.no_grad():
        pairs = [model(**tokenizer(*pair, truncation=True, return_tensors="pt")).logits[0].tolist() for pair in PAIRS]
        singles = [model(**tokenizer(text, truncation=True, return_tensors="pt")).logits[0].tolist() for text in TEXTS]
    _write(out, {"pairs": pairs, "singles": singles})


def _write(out: Path, found: dict[str, Any]) -> None:
    (out / "expected.json").write_text(json.dumps(found))


if __name__ == "__main__":
    _build(Path(sys.argv[1]))
