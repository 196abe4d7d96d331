"""What goes wrong, as huggingface_hub shows it, and what to do then."""

import os
import time

from huggingface_hub import InferenceClient
from huggingface_hub.errors import OverloadedError, ValidationError

URL = os.environ.get("PRONTO_URL", "http://127.0.0.1:8080")
MODEL = os.environ.get("PRONTO_MODEL", "demo/tiny-coder")
PROMPT = "class Point:\n    def __init__(self, x, y):"

# A model that is not loaded yet is waited for, instead of an error.
client = InferenceClient(
    model=f"{URL}/models/{MODEL}", token=os.environ["PRONTO_TOKEN"], headers={"x-wait-for-model": "1"}
)


def ask(prompt: str, attempts: int = 5) -> str:
    """Ask again when the server is full; after 1, 2, 4, ... seconds."""
    for attempt in range(attempts):
        try:
            return client.text_generation(prompt, max_new_tokens=15)
        except OverloadedError:
            time.sleep(2.0**attempt)
    raise TimeoutError("The server stayed full.")


print(ask(PROMPT))

try:
    client.text_generation(PROMPT, max_new_tokens=10_000_000)
except ValidationError as error:
    # The same request will fail again: the message says what to change.
    print("refused:", error)
