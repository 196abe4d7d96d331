"""A stream with huggingface_hub: every token is printed as soon as it is there."""

import os

from huggingface_hub import InferenceClient

URL = os.environ.get("PRONTO_URL", "http://127.0.0.1:8080")
MODEL = os.environ.get("PRONTO_MODEL", "demo/tiny-coder")
PROMPT = "class Point:\n    def __init__(self, x, y):"

client = InferenceClient(model=f"{URL}/models/{MODEL}", token=os.environ["PRONTO_TOKEN"])

for text in client.text_generation(PROMPT, max_new_tokens=12, stream=True):
    print(text, end="", flush=True)
print()
