"""Writes a whole Llama folder with random weights: what is served until a trained model is there.

Knows the file formats only (safetensors, tokenizer.json, config.json); torch is not needed.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

BOS, EOS = "<s>", "</s>"

# Enough English for a few hundred merges of byte pairs; what a random model says makes no sense anyway.
CORPUS = """
The quick brown fox jumps over the lazy dog, and the dog does not mind. A model reads the text one token at a time
and says which token it thinks comes next. When the prompt is long the answer takes longer to begin; when the answer
is long it takes longer to end. People ask for a story, for a summary, for a list of things to do, for the name of a
city, or for a function in Python that sorts a list of numbers and prints the result. The server keeps a queue, and
everyone in it has a turn. Once upon a time there was a small machine in a quiet room that answered questions all day
long. It was not the largest machine, but it was always there, and it did what it was asked. In the morning it was
asked about the weather, at noon about the history of the world, and in the evening about what should be cooked for
dinner. What is the capital of France? The capital of France is Paris. How many legs does a spider have? A spider has
eight legs. Please explain in simple words how a computer adds two numbers. First it reads the two numbers, then it
adds the digits from right to left, and it carries one whenever the sum is ten or more. def main(): return 0
for item in items: if item is not None: print(item["name"], item["value"]) {"name": "Pronto", "size": 42, "on": true}
0 1 2 3 4 5 6 7 8 9 10 11 12 100 1000 2024 3.14 Hello, world! My name is Anna. I am from Berlin. Where are you from?
User: hello there, how are you today? Assistant: I am well, thank you. What can I do for you? Yes. No. Maybe.
"""


class LlamaShape(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes of a Llama. `vocab` counts the two special tokens; two heads, each `head` wide, share keys and values."""

    vocab: int = 768
    hidden: int = 256
    intermediate: int = 768
    layers: int = 4
    heads: int = 4
    head: int = 64
    context: int = 2048  # tokens


def write_demo_model(folder: Path) -> None:
    """Write the demo model: 4 million parameters in fp16, 2,048 tokens of context, the same bytes every time."""
    write_llama(folder, LlamaShape())


def write_llama(folder: Path, shape: LlamaShape, *, seed: int = 0) -> None:
    """Write a LlamaForCausalLM folder with random fp16 weights and a byte-level BPE tokenizer made on the spot.

    The model's vocabulary has exactly `shape.vocab` entries, also where the corpus gives the tokenizer fewer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write_weights(folder / "model.safetensors", shape, seed)
    _write_tokenizer(folder, shape)
    _write_json(folder / "generation_config.json", {"bos_token_id": 0, "eos_token_id": [1]})
    _write_json(folder / "config.json", _config(shape))


def _config(shape: LlamaShape) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": shape.vocab,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": max(1, shape.heads // 2),
        "head_dim": shape.head,
        "max_position_embeddings": shape.context,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": False,
        "torch_dtype": "float16",
        "bos_token_id": 0,
        "eos_token_id": 1,
    }


def _tensors(shape: LlamaShape) -> Iterator[tuple[str, tuple[int, ...]]]:
    wide, narrow = shape.heads * shape.head, max(1, shape.heads // 2) * shape.head
    yield "model.embed_tokens.weight", (shape.vocab, shape.hidden)
    for layer in range(shape.layers):
        prefix = f"model.layers.{layer}."
        yield prefix + "input_layernorm.weight", (shape.hidden,)
        yield prefix + "self_attn.q_proj.weight", (wide, shape.hidden)
        yield prefix + "self_attn.k_proj.weight", (narrow, shape.hidden)
        yield prefix + "self_attn.v_proj.weight", (narrow, shape.hidden)
        yield prefix + "self_attn.o_proj.weight", (shape.hidden, wide)
        yield prefix + "post_attention_layernorm.weight", (shape.hidden,)
        yield prefix + "mlp.gate_proj.weight", (shape.intermediate, shape.hidden)
        yield prefix + "mlp.up_proj.weight", (shape.intermediate, shape.hidden)
        yield prefix + "mlp.down_proj.weight", (shape.hidden, shape.intermediate)
    yield "model.norm.weight", (shape.hidden,)
    yield "lm_head.weight", (shape.vocab, shape.hidden)


def _write_weights(path: Path, shape: LlamaShape, seed: int) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    rng = np.random.default_rng(seed)
    weights = {}
    for name, size in _tensors(shape):
        if len(size) == 1:
            weights[name] = np.ones(size, np.float16)
        else:
            # Variance 1 / inputs keeps activations near 1, so that logits lie apart and greedy answers are stable.
            scale = np.float32(1.0 if "embed" in name else size[1] ** -0.5)
            weights[name] = (rng.standard_normal(size, np.float32) * scale).astype(np.float16)
    # With rows of zeros the two special tokens are never the likeliest: answers go on to their full length.
    weights["lm_head.weight"][:2] = 0
    save_file(weights, str(path), metadata={"format": "pt"})


def _write_tokenizer(folder: Path, shape: LlamaShape) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=shape.vocab,
        special_tokens=[BOS, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS.strip().splitlines(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
    )
    saved = json.loads(tokenizer.to_str())
    _fill(saved["model"]["vocab"], shape.vocab)
    (folder / "tokenizer.json").write_text(json.dumps(saved, ensure_ascii=False), encoding="utf-8")
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": EOS,
        "model_max_length": shape.context,
        "clean_up_tokenization_spaces": False,
    }
    _write_json(folder / "tokenizer_config.json", config)


def _fill(vocabulary: dict[str, int], size: int) -> None:
    """Give a text to every id that the model can say; no merge leads to these, so no prompt contains them."""
    for number in range(len(vocabulary), size):
        vocabulary[f"\u0120word{number}"] = number  # U+0120 is how byte-level BPE writes a space


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
