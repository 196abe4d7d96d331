"""huggingface_hub: speech made, heard, labelled and said in another voice.

Arguments: the server's URL, a token, models that speak, hear words, label, convert; the path of a recording.
"""

import asyncio
import sys
from pathlib import Path

import huggingface_hub
from huggingface_hub import AsyncInferenceClient, InferenceClient

from report import chat as speaker
from report import echo as listener
from report import finish, found, note, token, url

labeller, converter, path = sys.argv[5:8]
old = huggingface_hub.__version__.startswith("0.")
found["version"] = huggingface_hub.__version__
data = Path(path).read_bytes()


def named(model):
    # 0.24 is told the server by HF_INFERENCE_ENDPOINT, newer versions by a URL.
    return model if old else f"{url}/models/{model}"


def client(model, kind=InferenceClient, **more):
    return kind(named(model), token=token, timeout=100, **more)


def said(sound):
    return [type(sound).__name__, sound[:4].hex(), len(sound) > 1000]


def labelled(answer):
    return [[each.label, each.score] for each in answer]


async def said_by_the_asynchronous_one():
    return said(await client(speaker, AsyncInferenceClient).text_to_speech("Hello there."))


async def heard_by_the_asynchronous_one():
    return (await client(listener, AsyncInferenceClient).automatic_speech_recognition(data)).text


note("speech", lambda: said(client(speaker).text_to_speech("Hello there.")))
note("wav", lambda: said(client(speaker, headers={"Accept": "audio/wav"}).text_to_speech("Hello there.")))
note("speech_async", lambda: asyncio.run(said_by_the_asynchronous_one()))
note("text", lambda: client(listener).automatic_speech_recognition(data).text)
note("text_of_path", lambda: client(listener).automatic_speech_recognition(path).text)
note("text_async", lambda: asyncio.run(heard_by_the_asynchronous_one()))
note("labels", lambda: labelled(client(labeller).audio_classification(data)))
note(
    "converted", lambda: [[e.label, e.content_type, len(e.blob) > 100] for e in client(converter).audio_to_audio(data)]
)
note("bad", lambda: client(listener).automatic_speech_recognition(b"no sound at all"))
if not old:
    more = {"return_timestamps": True}
    note(
        "chunks",
        lambda: [
            [c.text, c.timestamp] for c in client(listener).automatic_speech_recognition(data, extra_body=more).chunks
        ],
    )
    note("two", lambda: labelled(client(labeller).audio_classification(data, top_k=2, function_to_apply="sigmoid")))
    note(
        "warm", lambda: said(client(speaker).text_to_speech("Hello there.", do_sample=True, temperature=0.9, top_k=20))
    )
    note("voice", lambda: said(client(speaker).text_to_speech("Hello.", extra_body={"voice": "v2/de_speaker_3"})))
    note("no_voice", lambda: client(speaker).text_to_speech("Hello.", extra_body={"voice": "nobody"}))
finish()
