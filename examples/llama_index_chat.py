"""LlamaIndex: a conversation and a completion: pip install llama-index-llms-openai-like."""

import os

from llama_index.core.llms import ChatMessage
from llama_index.llms.openai_like import OpenAILike

URL = os.environ.get("PRONTO_URL", "http://127.0.0.1:8080")
MODEL = os.environ.get("PRONTO_MODEL", "demo/tiny-coder")


def model(is_chat: bool) -> OpenAILike:
    """`is_chat` chooses between /v1/chat/completions and /v1/completions."""
    return OpenAILike(
        api_base=f"{URL}/v1",
        api_key=os.environ["PRONTO_TOKEN"],
        model=MODEL,
        is_chat_model=is_chat,
        context_window=1024,
        max_tokens=32,
    )


for piece in model(is_chat=True).stream_chat([ChatMessage(role="user", content="def add(a, b):\n")]):
    print(piece.delta, end="", flush=True)
print()
print(model(is_chat=False).complete("import os\n\ndef read_lines(path):\n"))
