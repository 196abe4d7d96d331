"""Clients of the Hub and of OpenAI at their own limit: what they say, and that waiting as they are told is enough."""

import sys
import time

from report import HELLO, echo, finish, note, token, url

which = sys.argv[5]


def seconds(call):
    began = time.monotonic()
    call()
    return time.monotonic() - began


if which == "openai":
    import openai

    def ask(**options):
        client = openai.OpenAI(base_url=f"{url}/v1", api_key=token, timeout=60, **options)
        return client.chat.completions.create(model=echo, messages=HELLO, max_tokens=2, temperature=1.0)

    note("first", lambda: ask(max_retries=0).choices[0].message.content)
    note("refused", lambda: ask(max_retries=0).choices[0].message.content)
    note("recovered", lambda: seconds(lambda: ask()))
else:
    from huggingface_hub import InferenceClient
    from huggingface_hub.utils import http_backoff

    client = InferenceClient(f"{url}/models/{echo}", token=token)
    body = {"inputs": "Hello", "parameters": {"max_new_tokens": 2}}

    def patient():
        headers = {"authorization": f"Bearer {token}", "x-use-cache": "0"}
        answer = http_backoff("POST", f"{url}/models/{echo}", json=body, headers=headers, retry_on_status_codes=429)
        assert answer.status_code == 200, answer.text

    note("first", lambda: client.text_generation("Hello", max_new_tokens=2))
    note("refused", lambda: client.text_generation("Hello", max_new_tokens=2))
    note("recovered", lambda: seconds(patient))
finish()
