"""LangChain: a model that can stand in any chain: pip install langchain-openai."""

import os

from langchain_openai import ChatOpenAI

URL = os.environ.get("PRONTO_URL", "http://127.0.0.1:8080")
MODEL = os.environ.get("PRONTO_MODEL", "demo/tiny-coder")

model = ChatOpenAI(base_url=f"{URL}/v1", api_key=os.environ["PRONTO_TOKEN"], model=MODEL, max_tokens=32)

print(model.invoke("def add(a, b):\n").content)
for piece in model.stream("import os\n\ndef read_lines(path):\n"):
    print(piece.content, end="", flush=True)
print()
