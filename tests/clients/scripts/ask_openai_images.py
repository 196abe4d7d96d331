"""openai's client: chats with images, whole and streamed, and bad ones. `PRONTO_IMAGE` is the path of a PNG."""

import base64
import os

from openai import OpenAI

from report import finish, note, token, url

with open(os.environ["PRONTO_IMAGE"], "rb") as file:
    image = f"data:image/png;base64,{base64.b64encode(file.read()).decode()}"
client = OpenAI(base_url=f"{url}/v1", api_key=token, max_retries=0)
MODEL = "tiny/qwen2_vl"


def messages(address: str) -> list:
    content = [{"type": "image_url", "image_url": {"url": address}}, {"type": "text", "text": "what is this?"}]
    return [{"role": "user", "content": content}]


def ask(address: str, **more: object):
    return client.chat.completions.create(
        model=MODEL,
        messages=messages(address),
        max_tokens=6,
        temperature=0,
        extra_headers={"x-wait-for-model": "1"},
        **more,
    )


note("chat", lambda: ask(image).choices[0].message.content)
note("usage", lambda: ask(image).usage.model_dump())
note("stream", lambda: [piece.choices[0].delta.content or "" for piece in ask(image, stream=True) if piece.choices])
note("no image", lambda: ask("data:image/png;base64,AAAA").id)
note("far away", lambda: ask("https://example.org/a.png").id)
finish()
