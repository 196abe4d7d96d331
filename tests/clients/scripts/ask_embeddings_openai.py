"""openai: vectors as numbers and as base64, which it asks for by itself; token ids; errors."""

from openai import OpenAI

from report import finish, note, token, url

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
client = OpenAI(base_url=f"{url}/v1", api_key=token, max_retries=0)
# Its strict check takes numbers alone, not the base64 that it asks for.
strict = OpenAI(base_url=f"{url}/v1", api_key=token, max_retries=0, _strict_response_validation=True)


def ask(text, model=MODEL, by=client, **more):
    return by.embeddings.create(model=model, input=text, **more)


def shown(answer):
    return [[row.index, row.object, len(row.embedding), row.embedding[:4]] for row in answer.data]


note("vector", lambda: shown(ask("hello")))
note("several", lambda: shown(ask(["hello", "bye"])))
note("numbers", lambda: shown(ask("hello", by=strict, encoding_format="float")))
note("dimensions", lambda: shown(ask("hello", dimensions=4)))
note("alias", lambda: shown(ask("hello", model="text-embedding-3-small")))
note("tokens", lambda: shown(ask([7592])))
note("usage", lambda: ask("hello").usage.model_dump())
note("model", lambda: ask("hello", model="text-embedding-3-small").model)
alone = OpenAI(base_url=f"{url}/models/{MODEL}/v1", api_key=token, max_retries=0)
note("alone", lambda: shown(ask("hello", model="-", by=alone)))
note("empty", lambda: ask([]))
note("bad_dimensions", lambda: ask("hello", dimensions=100_000))
note("other_tokens", lambda: ask([15339, 99_000]))
note("no_embeddings", lambda: ask("hello", model="demo/tiny-coder"))
note("unknown", lambda: ask("hello", model="no/such"))
finish()
