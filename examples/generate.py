"""Text generation with huggingface_hub: a sampled answer, then a greedy one with its details."""

import os

from huggingface_hub import InferenceClient

URL = os.environ.get("PRONTO_URL", "http://127.0.0.1:8080")
MODEL = os.environ.get("PRONTO_MODEL", "demo/tiny-coder")
PROMPT = "class Point:\n    def __init__(self, x, y):"

client = InferenceClient(model=f"{URL}/models/{MODEL}", token=os.environ["PRONTO_TOKEN"])

text = client.text_generation(PROMPT, max_new_tokens=16, temperature=0.8, top_p=0.95, seed=42)
print("sampled:", text)

answer = client.text_generation(PROMPT, max_new_tokens=12, details=True)
print("greedy: ", answer.generated_text)
assert answer.details is not None
print("ended because of", answer.details.finish_reason, "after", answer.details.generated_tokens, "tokens")
