"""Code infilling: what stands between two pieces of code, in two ways. Nothing but the standard library is needed."""

import json
import os
import urllib.request
from typing import Any

URL = os.environ.get("PRONTO_URL", "http://127.0.0.1:8080")
MODEL = os.environ.get("PRONTO_MODEL", "demo/tiny-coder")

BEFORE = 'import os\n\ndef read_lines(path):\n    """Return the lines of a file."""\n    with '
AFTER = " as file:\n        return file.readlines()\n"


def post(path: str, body: dict[str, Any]) -> Any:
    headers = {"Authorization": f"Bearer {os.environ['PRONTO_TOKEN']}", "Content-Type": "application/json"}
    request = urllib.request.Request(URL + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


# The server knows the model's own infill tokens, and puts the two pieces between them.
body = {"model": MODEL, "prompt": BEFORE, "suffix": AFTER, "max_tokens": 16, "temperature": 0}
print("by suffix:", post("/v1/completions", body)["choices"][0]["text"])

# The same with Code Llama's tokens, written by hand.
parameters = {"max_new_tokens": 16, "return_full_text": False}
raw = post(f"/models/{MODEL}", {"inputs": f"<PRE> {BEFORE} <SUF>{AFTER} <MID>", "parameters": parameters})
print("by hand:  ", raw[0]["generated_text"])
