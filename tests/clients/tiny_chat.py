"""A tiny Llama that can chat and fill in: ChatML as its template, and Code Llama's infill tokens."""

import json
from pathlib import Path

from tests.tiny_models import build_tiny_llama

VOCABULARY = 512
INFILL = ("▁<PRE>", "▁<SUF>", "▁<MID>", "▁<EOT>")
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


def build_tiny_chat(folder: Path) -> Path:
    """`build_tiny_llama` with the last entries of its vocabulary turned into infill tokens."""
    build_tiny_llama(folder, vocab=VOCABULARY, context=2048)
    _change(folder / "tokenizer.json", _with_infill)
    _change(folder / "tokenizer_config.json", lambda config: config | {"chat_template": TEMPLATE})
    return folder


def _with_infill(tokenizer: dict) -> dict:
    names = dict(enumerate(INFILL, VOCABULARY - len(INFILL)))
    vocabulary = tokenizer["model"]["vocab"]
    kept = {text: number for text, number in vocabulary.items() if number not in names}
    tokenizer["model"]["vocab"] = kept | {name: number for number, name in names.items()}
    tokenizer["model"]["merges"] = [pair for pair in tokenizer["model"]["merges"] if "".join(pair) in kept]
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    tokenizer["added_tokens"] += [
        {"id": number, "content": name, **flags, "special": True} for number, name in names.items()
    ]
    return tokenizer


def _change(path: Path, change) -> None:
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
