"""Llama 2 Chat's prompt, written by hand: for clients that send text instead of messages.

Set PRONTO_MODEL to a Llama 2 Chat model for answers that make sense. The server adds the first `<s>` by itself.
"""

import os

from huggingface_hub import InferenceClient

URL = os.environ.get("PRONTO_URL", "http://127.0.0.1:8080")
MODEL = os.environ.get("PRONTO_MODEL", "demo/tiny-coder")

SYSTEM = "You are a careful programmer. Answer with code alone."


def prompt(system: str, turns: list[tuple[str, str]], question: str) -> str:
    """`turns` are what was asked and answered before. The system prompt belongs into the first question."""
    said = [*turns, (question, "")]
    first, answer = said[0]
    said[0] = (f"<<SYS>>\n{system}\n<</SYS>>\n\n{first}", answer)
    done = "<s>".join(f"[INST] {asked} [/INST] {answered} </s>" for asked, answered in said[:-1])
    return f"{done}<s>[INST] {said[-1][0]} [/INST]" if done else f"[INST] {said[-1][0]} [/INST]"


client = InferenceClient(model=f"{URL}/models/{MODEL}", token=os.environ["PRONTO_TOKEN"])

text = prompt(SYSTEM, [("How do I import the module os?", "import os")], "How do I read the lines of a file?")
print(text)
print(client.text_generation(text, max_new_tokens=40, temperature=0.6, top_p=0.9, stop=["</s>"]))
