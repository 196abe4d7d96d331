"""openai: speech made, heard and translated. Arguments: URL, token, models that speak and hear, a recording."""

import asyncio
import sys
from pathlib import Path

import openai

from report import chat as speaker
from report import echo as listener
from report import finish, found, note, token, url

path = Path(sys.argv[5])
client = openai.OpenAI(base_url=f"{url}/v1", api_key=token, timeout=100, max_retries=0)
strict = openai.OpenAI(base_url=f"{url}/v1", api_key=token, timeout=100, _strict_response_validation=True)
found["version"] = openai.__version__


def said(format=None, **more):
    asked = {"response_format": format} if format else {}
    answer = client.audio.speech.create(model=speaker, input="Hello there.", voice="alloy", **asked, **more)
    data = answer.read()
    return [answer.response.headers["content-type"], data[:4].hex(), len(data)]


def streamed():
    with client.audio.speech.with_streaming_response.create(model=speaker, input="Hi.", voice="coral") as answer:
        return sum(map(len, answer.iter_bytes()))


def heard(at=client, route="transcriptions", **more):
    return getattr(at.audio, route).create(model=listener, file=path, **more)


def verbose(answer):
    segments = [
        [s.id, s.start, s.end, s.text, s.avg_logprob < 0, 0 <= s.no_speech_prob <= 1] for s in answer.segments or []
    ]
    words = [[w.word, w.start, w.end] for w in getattr(answer, "words", None) or []]
    return {"language": answer.language, "duration": answer.duration, "segments": segments, "words": words}


async def heard_by_the_asynchronous_one():
    other = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=token, timeout=100)
    return (await other.audio.transcriptions.create(model=listener, file=path)).text


for format in (None, "opus", "flac", "wav", "pcm"):
    note(f"speech_{format}", lambda format=format: said(format, extra_body={"seed": 1}))
note("speech_aac", lambda: said("aac"))
note("fast", lambda: said("pcm", speed=2.0, extra_body={"seed": 1}))
note("streamed", streamed)
note("json", lambda: heard(strict).text)
note("async", lambda: asyncio.run(heard_by_the_asynchronous_one()))
for format in ("text", "srt", "vtt"):
    note(format, lambda format=format: heard(response_format=format))
both = {"response_format": "verbose_json", "timestamp_granularities": ["word", "segment"]}
note("verbose", lambda: verbose(heard(strict, **both, language="en", temperature=0, prompt="Hello")))
note("english", lambda: heard(strict, "translations").text)
note("english_verbose", lambda: verbose(heard(strict, "translations", response_format="verbose_json")))
note("bad_voice", lambda: client.audio.speech.create(model=speaker, input="Hi.", voice="nobody"))
note("bad_file", lambda: client.audio.transcriptions.create(model=listener, file=("a.wav", b"no sound at all")))
note("bad_language", lambda: heard(language="klingon"))
note("wrong_model", lambda: client.audio.transcriptions.create(model=speaker, file=path))
finish()
