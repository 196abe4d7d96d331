"""openai against a server that has room for one request: the error, and the client's own patience."""

import threading
import time

import openai

from report import HELLO, echo, finish, note, token, url


def ask(**options):
    client = openai.OpenAI(base_url=f"{url}/v1", api_key=token, timeout=60, **options)
    reply = client.chat.completions.create(model=echo, messages=HELLO, max_tokens=4, temperature=1.0)
    return reply.choices[0].message.content


first = threading.Thread(target=ask)
first.start()
time.sleep(0.5)  # the slow model takes two seconds for an answer
note("full", lambda: ask(max_retries=0))
note("patient", lambda: ask(max_retries=8))
first.join()
finish()
