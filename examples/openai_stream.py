"""A conversation with the openai client, streamed: pip install openai."""

import os

from openai import OpenAI

URL = os.environ.get("PRONTO_URL", "http://127.0.0.1:8080")
MODEL = os.environ.get("PRONTO_MODEL", "demo/tiny-coder")

client = OpenAI(base_url=f"{URL}/v1", api_key=os.environ["PRONTO_TOKEN"])

stream = client.chat.completions.create(
    model=MODEL,
    messages=[{"role": "user", "content": "import os\n\ndef read_lines(path):\n"}],
    max_tokens=32,
    stream=True,
    stream_options={"include_usage": True},
)
for chunk in stream:
    for choice in chunk.choices:
        print(choice.delta.content or "", end="", flush=True)
    if chunk.usage:
        print(f"\n({chunk.usage.completion_tokens} tokens)")
