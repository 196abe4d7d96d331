"""Tiny text models made on the spot: real architectures of transformers with random weights and trained tokenizers."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pronto.catalog.demo import CORPUS

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
NLI = ("contradiction", "neutral", "entailment")
WINDOW = 64  # tokens


def build(folder: Path, kind: str) -> Path:
    """A folder of one of KINDS; the same weights every time."""
    import torch
    import transformers

    # What a test process computes must not take the cores from the servers that it asks.
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(7)
    model, tokenizer = KINDS[kind](folder)
    model.eval().save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    return folder


def corpus() -> list[str]:
    return [line for line in CORPUS.strip().splitlines() if line]


def word_pieces() -> dict[str, int]:
    """Some hundred words and all letters of the corpus. Not trained: a trainer breaks ties by chance."""
    words = re.findall(r"[a-z]+|[0-9]+|[^\sa-z0-9]", " ".join(corpus()).lower())
    letters = sorted({letter for word in words for letter in word})
    pieces = [*SPECIAL, *letters, *(f"##{letter}" for letter in letters), *dict.fromkeys(words)]
    return {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}


def _bert_tokenizer(**options: Any) -> Any:
    from transformers import BertTokenizer

    return BertTokenizer(vocab=word_pieces(), model_max_length=WINDOW, **options)


def _bert(name: str, **settings: Any) -> Callable[[Path], tuple[Any, Any]]:
    def make(folder: Path) -> tuple[Any, Any]:
        import transformers

        tokenizer = _bert_tokenizer()
        config = transformers.BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            max_position_embeddings=WINDOW,
            initializer_range=0.4,
            **settings,
        )
        return getattr(transformers, name)(config), tokenizer

    return make


def _labels(*names: str) -> dict[str, Any]:
    return {"id2label": dict(enumerate(names)), "label2id": {name: index for index, name in enumerate(names)}}


def _names(folder: Path) -> tuple[Any, Any]:
    import torch

    made = _bert("BertForTokenClassification", **_labels("O", "B-PER", "I-PER", "B-LOC", "I-LOC"))
    model, tokenizer = made(folder)
    with torch.no_grad():
        model.classifier.bias[0] = -1.0  # some of every label
    return model, tokenizer


def _roberta(folder: Path) -> tuple[Any, Any]:
    from tokenizers import ByteLevelBPETokenizer
    from transformers import RobertaConfig, RobertaForMaskedLM, RobertaTokenizer

    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(corpus(), vocab_size=400, special_tokens=special, show_progress=False)
    state = json.loads(trained.to_str())["model"]
    tokenizer = RobertaTokenizer(vocab=state["vocab"], merges=[tuple(pair) for pair in state["merges"]])
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=WINDOW + 2,  # positions begin behind the padding token's
        type_vocab_size=1,
        initializer_range=0.4,
    )
    return RobertaForMaskedLM(config), tokenizer


def _sentence_pieces(folder: Path, size: int = 200) -> list[tuple[str, float]]:
    from tokenizers import SentencePieceUnigramTokenizer

    trained = SentencePieceUnigramTokenizer()
    special = ["<pad>", "</s>", "<unk>"]
    trained.train_from_iterator(corpus(), size, special_tokens=special, unk_token="<unk>", show_progress=False)
    return [(piece, score) for piece, score in json.loads(trained.to_str())["model"]["vocab"]]


def _t5(folder: Path) -> tuple[Any, Any]:
    from transformers import T5Config, T5ForConditionalGeneration, T5Tokenizer

    tokenizer = T5Tokenizer(vocab=_sentence_pieces(folder), extra_ids=10, model_max_length=WINDOW)
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        initializer_factor=3.0,
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=1,
        task_specific_params={
            "summarization": {"prefix": "summarize: ", "max_length": 30, "num_beams": 2, "no_repeat_ngram_size": 3},
            "translation_en_to_de": {"prefix": "translate English to German: ", "max_length": 20},
        },
    )
    return T5ForConditionalGeneration(config), tokenizer


def _bart(folder: Path) -> tuple[Any, Any]:
    from transformers import BartConfig, BartForConditionalGeneration

    _, tokenizer = _roberta(folder)
    tokenizer.model_max_length = WINDOW
    config = BartConfig(
        vocab_size=len(tokenizer),
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=WINDOW,
        init_std=0.4,
    )
    return BartForConditionalGeneration(config), tokenizer


def _spm(folder: Path, name: str, size: int = 200) -> dict[str, int]:
    """A sentencepiece model in the folder, as Marian and M2M100 have it, and its pieces."""
    import sentencepiece

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus()),
        model_prefix=str(folder / name.removesuffix(".spm").removesuffix(".model")),
        vocab_size=size,
        minloglevel=2,
    )
    made = folder / (name.removesuffix(".spm").removesuffix(".model") + ".model")
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(made))
    if made.name != name:
        made.rename(folder / name)
    (folder / (made.stem + ".vocab")).unlink()
    return {pieces.id_to_piece(index): index for index in range(pieces.get_piece_size())}


def _marian(folder: Path) -> tuple[Any, Any]:
    from transformers import MarianConfig, MarianMTModel, MarianTokenizer

    pieces = [piece for piece in _spm(folder, "source.spm") if piece not in ("<unk>", "<s>", "</s>")]
    _spm(folder, "target.spm")
    words = ["</s>", "<unk>", *pieces, ">>fra<<", ">>deu<<", "<pad>"]
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(words)}))
    tokenizer = MarianTokenizer(
        str(folder / "source.spm"),
        str(folder / "target.spm"),
        str(folder / "vocab.json"),
        source_lang="eng",
        target_lang="roa",
        model_max_length=WINDOW,
    )
    config = MarianConfig(
        vocab_size=len(words),
        decoder_vocab_size=len(words),
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=WINDOW,
        pad_token_id=len(words) - 1,
        eos_token_id=0,
        forced_eos_token_id=0,
        decoder_start_token_id=len(words) - 1,
        init_std=0.4,
    )
    model = MarianMTModel(config)
    model.generation_config.bad_words_ids = [[len(words) - 1]]
    model.generation_config.max_length = 24
    model.generation_config.num_beams = 3
    return model, tokenizer


def _m2m(folder: Path) -> tuple[Any, Any]:
    from transformers import M2M100Config, M2M100ForConditionalGeneration, M2M100Tokenizer

    pieces = [piece for piece in _spm(folder, "sentencepiece.bpe.model") if piece not in ("<unk>", "<s>", "</s>")]
    words = ["<s>", "<pad>", "</s>", "<unk>", *pieces]
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(words)}))
    spm = str(folder / "sentencepiece.bpe.model")
    tokenizer = M2M100Tokenizer(str(folder / "vocab.json"), spm, src_lang="en", model_max_length=WINDOW)
    config = M2M100Config(
        vocab_size=max(tokenizer.lang_token_to_id.values()) + 9,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=WINDOW,
        init_std=0.4,
    )
    model = M2M100ForConditionalGeneration(config)
    # With random weights they would be all that it says.
    model.generation_config.bad_words_ids = [[id] for id in tokenizer.lang_token_to_id.values()]
    return model, tokenizer


def _tapas(folder: Path) -> tuple[Any, Any]:
    import torch
    from transformers import TapasConfig, TapasForQuestionAnswering, TapasTokenizer

    words = word_pieces()
    size = len(words)
    words["[EMPTY]"] = size
    (folder / "vocab.txt").write_text("\n".join(sorted(words, key=lambda word: words[word])))
    tokenizer = TapasTokenizer(str(folder / "vocab.txt"), model_max_length=128)
    config = TapasConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=128,
        initializer_range=0.4,
        num_aggregation_labels=4,
        aggregation_labels={0: "NONE", 1: "SUM", 2: "AVERAGE", 3: "COUNT"},
        no_aggregation_label_index=0,
        average_logits_per_cell=False,
        select_one_column=True,
        cell_selection_preference=0.2,
    )
    model = TapasForQuestionAnswering(config)
    with torch.no_grad():
        model.output_bias.fill_(8.0)  # some cells are chosen
    return model, tokenizer


KINDS: dict[str, Callable[[Path], tuple[Any, Any]]] = {
    "sentiment": _bert("BertForSequenceClassification", **_labels("NEGATIVE", "NEUTRAL", "POSITIVE")),
    "nli": _bert("BertForSequenceClassification", **_labels(*NLI)),
    "ranking": _bert("BertForSequenceClassification", **_labels("LABEL_0")),
    "names": _names,
    "questions": _bert("BertForQuestionAnswering"),
    "masks": _bert("BertForMaskedLM"),
    "roberta": _roberta,
    "t5": _t5,
    "bart": _bart,
    "marian": _marian,
    "m2m": _m2m,
    "tapas": _tapas,
}
