"""huggingface_hub, old or new: vectors and similarities, by id and by URL."""

import asyncio

import huggingface_hub
from huggingface_hub import AsyncInferenceClient, InferenceClient

from report import finish, found, note, note_async, token, url

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
OTHERS = ["That is a happy dog", "That is a very happy person", "Today is a sunny day"]
found["version"] = huggingface_hub.__version__
is_old = found["version"].startswith("0.")
address = f"{url}/models/{MODEL}"
# The newer version finds a server of one's own by URL alone.
client = InferenceClient(MODEL if is_old else address, token=token)


def shown(vectors):
    return [str(vectors.dtype), list(vectors.shape), [float(value) for value in vectors.reshape(-1)[:4]]]


note("vector", lambda: shown(client.feature_extraction("hello")))
note("by_url", lambda: shown(InferenceClient(address, token=token).feature_extraction("hello")))
note(
    "task_url",
    lambda: shown(InferenceClient(f"{address}/pipeline/feature-extraction", token=token).feature_extraction("hello")),
)
note("options", lambda: shown(client.feature_extraction("hello", normalize=True, truncate=True)))
note("left", lambda: shown(client.feature_extraction("hello", truncation_direction="Left" if is_old else "left")))
if not is_old:
    note("several", lambda: shown(client.feature_extraction(["hello", "bye"])))
    note("dimensions", lambda: shown(client.feature_extraction("hello", dimensions=4)))
note("similarity", lambda: client.sentence_similarity("That is a happy person", other_sentences=OTHERS))
note("bad_prompt", lambda: client.feature_extraction("hello", prompt_name="nobody's"))
note("bad_sentences", lambda: client.sentence_similarity("a", other_sentences=[]))
note("unknown", lambda: InferenceClient(f"{url}/models/no/such", token=token).feature_extraction("hello"))


async def later():
    return shown(await AsyncInferenceClient(client.model, token=token).feature_extraction("hello"))


asyncio.run(note_async("async", later))
finish()
