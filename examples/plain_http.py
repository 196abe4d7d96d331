"""A stream with nothing but the standard library."""

import json
import os
import urllib.request

URL = os.environ.get("PRONTO_URL", "http://127.0.0.1:8080")
MODEL = os.environ.get("PRONTO_MODEL", "demo/tiny-coder")
PROMPT = "class Point:\n    def __init__(self, x, y):"

body = {"inputs": PROMPT, "parameters": {"max_new_tokens": 12}, "stream": True}
headers = {"Authorization": f"Bearer {os.environ['PRONTO_TOKEN']}", "Content-Type": "application/json"}
request = urllib.request.Request(f"{URL}/models/{MODEL}", json.dumps(body).encode(), headers)

with urllib.request.urlopen(request, timeout=60) as answer:
    for line in answer:
        # Other lines are empty, or comments that begin with a colon.
        if line.startswith(b"data:"):
            event = json.loads(line[5:])
            if "error" in event:
                raise SystemExit(event["error"])
            print(event["token"]["text"], end="", flush=True)
print()
