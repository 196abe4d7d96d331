"""Sound on the wire: what Hugging Face's and OpenAI's routes make of a body, and how answers are written."""

import base64
import json

import pytest

from pronto.core.audio_work import ClassifySound, NamedSound, Sound, Sounds, Span, Speak, Transcribe, Transcript
from pronto.core.errors import InvalidInput
from pronto.core.events import Done, Output, Started
from pronto.core.labels import Label, Labels
from pronto.core.media import MadeMedia
from pronto.core.tasks import Task
from pronto.wire.base import Raw
from pronto.wire.hf.dialect import HfDialect
from pronto.wire.hf.speech import accepted
from pronto.wire.openai.speech import SpeechDialect
from pronto.wire.openai.transcriptions import TranscriptionDialect
from pronto.wire.text_request import Bounds

ASR, TTS = Task.AUTOMATIC_SPEECH_RECOGNITION, Task.TEXT_TO_SPEECH
FLAC = MadeMedia(data=b"fLaC...", type="audio/flac")
SPOKEN = Transcript(
    text=" Hello there. General!",
    seconds=4.2,
    language="english",
    segments=(Span(" Hello there.", 0.0, 1.5, (1, 2), -0.5, 0.01), Span(" General --> !", 1.5, 3723.004)),
    words=(Span(" Hello", 0.0, 0.5), Span(" there.", 0.5, 1.5)),
)


def raw(body: object, task: Task = TTS, **headers: str) -> Raw:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Raw(request_id="r", route="x", task=task, model="a/b", headers=named, body=payload)


def hf(body: object, task: Task = TTS, **headers: str):
    return HfDialect(Bounds()).decode(raw(body, task, **headers)).request.work


def form(**fields: str) -> Raw:
    parts = [
        f'--x\r\nContent-Disposition: form-data; name="{name.rstrip("_")}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    parts.append('--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n--x--\r\n')
    return raw("".join(parts).encode(), ASR, content_type="multipart/form-data; boundary=x")


def transcribed(translates: bool = False, **fields: str) -> Transcribe:
    work = TranscriptionDialect(translates=translates).decode(form(**fields)).request.work
    assert isinstance(work, Transcribe)
    return work


def written(dialect, call, value) -> tuple[str, bytes]:
    encoder = dialect.encoder(call)
    encoder.feed(Started("rev", "e", "cpu"))
    encoder.feed(Output(value))
    body = encoder.feed(Done())
    return dict(encoder.headers)[b"content-type"].decode(), body


def test_old_and_new_clients_ask_for_speech():
    assert hf({"inputs": "hi"}) == Speak(text="hi")
    nested = {"do_sample": True, "temperature": 0.5, "max_new_tokens": 9, "typical_p": 0.9, "top_k": None}
    new = hf({"inputs": "hi", "parameters": {"generation_parameters": nested, "seed": 3}, "model": "x"})
    assert new == Speak(text="hi", do_sample=True, temperature=0.5, max_new_tokens=9, seed=3)
    assert hf({"inputs": "hi", "parameters": {"voice_preset": "v2/en_speaker_6"}}).voice == "v2/en_speaker_6"
    assert hf({"inputs": "hi", "parameters": {"speaker_id": 3}}).voice == "3"
    assert hf(b"plain words", content_type="text/plain").text == "plain words"


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"speed": 0}, "speed"),
        ({"speed": 1e300}, "speed"),
        ({"seed": -1}, "seed"),
        ({"temperature": 0}, "temperature"),
        ({"temperature": -2}, "temperature"),
        ({"top_p": 1.5}, "top_p"),
        ({"top_k": 0}, "top_k"),
        ({"max_new_tokens": -1}, "max_new_tokens"),
        ({"max_new_tokens": 10**12}, "max_new_tokens"),
        ({"voice": []}, "parameters.voice"),
    ],
)
def test_bad_parameters_of_speech_are_named(parameters, name):
    with pytest.raises(InvalidInput) as error:
        hf({"inputs": "hi", "parameters": parameters})
    assert error.value.param == name


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "audio/flac"),
        ("*/*", "audio/flac"),
        ("audio/*", "audio/flac"),
        ("application/json", "audio/flac"),
        ("audio/wav", "audio/wav"),
        ("AUDIO/MP3", "audio/mpeg"),
        ("audio/ogg; codecs=opus", "audio/ogg"),
        ("audio/wav;q=0.2, audio/mpeg;q=0.9, */*;q=0.1", "audio/mpeg"),
        ("audio/wav;q=nan, audio/ogg;q=x", "audio/flac"),
        ("audio/mpeg;q=0", "audio/flac"),
    ],
)
def test_the_format_is_the_one_that_is_wanted_most(accept, expected):
    assert accepted(accept) == expected


def test_the_sound_itself_is_the_answer():
    dialect = HfDialect(Bounds())
    call = dialect.decode(raw({"inputs": "hi"}))
    assert written(dialect, call, Sound(FLAC, 1.0)) == ("audio/flac", b"fLaC...")


def test_recordings_come_as_bytes_or_in_json():
    plain = hf(b"RIFF\0", ASR)
    assert (plain.sound.data, plain.times, plain.seed) == (b"RIFF\0", (), 0)
    encoded = base64.b64encode(b"RIFF\0").decode()
    for inputs in (encoded, f"data:audio/wav;base64,{encoded}"):
        asked = hf({"inputs": inputs, "parameters": {"return_timestamps": "word", "language": "de"}}, ASR)
        assert (asked.sound.data, asked.times, asked.language) == (b"RIFF\0", ("word",), "de")
    nested = {"return_timestamps": True, "generation_parameters": {"temperature": 0.5, "num_beams": 2}}
    asked = hf({"inputs": encoded, "parameters": nested}, ASR)
    assert (asked.times, asked.temperature, asked.num_beams, asked.seed) == (("segment",), 0.5, 2, None)
    assert hf({"inputs": encoded, "parameters": {"generate_kwargs": {"task": "translate"}}}, ASR).translate
    assert isinstance(hf(b"x", Task.AUDIO_CLASSIFICATION), ClassifySound)


@pytest.mark.parametrize(
    ("task", "parameters", "name"),
    [
        (ASR, {"return_timestamps": "line"}, "return_timestamps"),
        (ASR, {"task": "sing"}, "task"),
        (ASR, {"temperature": -1}, "temperature"),
        (ASR, {"num_beams": 1000}, "num_beams"),
        (ASR, {"max_new_tokens": 0}, "max_new_tokens"),
        (ASR, {"language": 3}, "language"),
        (Task.AUDIO_CLASSIFICATION, {"top_k": 0}, "top_k"),
        (Task.AUDIO_CLASSIFICATION, {"top_k": "many"}, "top_k"),
        (Task.AUDIO_CLASSIFICATION, {"function_to_apply": "cosine"}, "function_to_apply"),
        (Task.AUDIO_TO_AUDIO, {"seed": -1}, "seed"),
    ],
)
def test_bad_parameters_of_listening_are_named(task, parameters, name):
    with pytest.raises(InvalidInput) as error:
        hf({"inputs": "UklGRg==", "parameters": parameters}, task)
    assert error.value.param == name


@pytest.mark.parametrize("body", [b"", {"inputs": ""}, {"inputs": "§"}, {}])
def test_a_missing_or_foreign_recording_is_refused(body):
    with pytest.raises(InvalidInput) as error:
        hf(body, ASR)
    assert error.value.param == "inputs"


def test_answers_have_the_recorded_shapes():
    dialect = HfDialect(Bounds())

    def answer(task, value):
        kind, body = written(dialect, dialect.decode(raw(b"RIFF", task)), value)
        assert kind == "application/json"
        return json.loads(body)

    assert answer(ASR, Transcript(text="hi", seconds=1.0)) == {"text": "hi"}
    spans = Transcript(text="hi", seconds=1.0, words=(Span("hi", 0.0, 0.5),))
    assert answer(ASR, spans) == {"text": "hi", "chunks": [{"text": "hi", "timestamp": [0.0, 0.5]}]}
    labels = Labels(((Label("dog", 0.9), Label("cat", 0.1)),))
    assert answer(Task.AUDIO_CLASSIFICATION, labels) == [
        {"label": "dog", "score": 0.9},
        {"label": "cat", "score": 0.1},
    ]
    sounds = Sounds((NamedSound("speech", FLAC),), 1.0)
    blob = base64.b64encode(FLAC.data).decode()
    assert answer(Task.AUDIO_TO_AUDIO, sounds) == [{"label": "speech", "content-type": "audio/flac", "blob": blob}]


def test_openai_asks_for_speech():
    request = SpeechDialect().decode(raw({"model": "a/b", "input": "hi", "voice": "alloy"})).request
    assert (request.task, request.work) == (TTS, Speak(text="hi", voice="alloy", format="audio/mpeg"))
    more = {"input": "hi", "voice": {"id": "x"}, "response_format": "opus", "speed": 2, "stream_format": "audio"}
    assert SpeechDialect().decode(raw(more)).request.work == Speak(text="hi", voice="x", format="audio/ogg", speed=2.0)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"input": ""}, "input"),
        ({"input": "a" * 4097}, "input"),
        ({"speed": 4.1}, "speed"),
        ({"response_format": "mp4"}, "response_format"),
        ({"stream_format": "sse"}, "stream_format"),
        ({"instructions": "whisper"}, "instructions"),
        ({"seed": -1}, "seed"),
    ],
)
def test_what_openai_s_speech_cannot_be_is_named(fields, name):
    dialect = SpeechDialect()
    with pytest.raises(InvalidInput) as error:
        dialect.decode(raw({"input": "hi", "voice": "alloy", **fields}))
    assert error.value.param == name
    shown = dialect.encode_error(InvalidInput("`inputs` is bad", "inputs"), {})
    assert (shown.status, json.loads(shown.body)["error"]["param"]) == (400, "input")


def test_openai_asks_for_a_transcription():
    plain = transcribed()
    assert (plain.sound.data, plain.sound.name, plain.times, plain.seed) == (b"RIFF", "file", (), 0)
    asked = transcribed(language="en", prompt="p", temperature="0.5", response_format="srt", chunking_strategy="auto")
    assert (asked.language, asked.prompt, asked.temperature, asked.times) == ("en", "p", 0.5, ("segment",))
    assert asked.seed is None
    verbose = transcribed(response_format="verbose_json")
    assert (verbose.times, verbose.with_scores) == (("segment",), True)
    words = {"timestamp_granularities[]": "word"}
    assert transcribed(response_format="verbose_json", **words).times == ("word",)
    assert transcribed(translates=True, language="de").translate


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"response_format": "diarized_json"}, "response_format"),
        ({"temperature": "nan"}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"timestamp_granularities[]": "word"}, "timestamp_granularities"),
        ({"timestamp_granularities[]": "line", "response_format": "verbose_json"}, "timestamp_granularities"),
        ({"include[]": "logprobs"}, "include"),
        ({"stream": "true"}, "stream"),
        ({"seed": "-1"}, "seed"),
        ({"prompt": "a" * 10_001}, "prompt"),
    ],
)
def test_what_openai_s_transcription_cannot_be_is_named(fields, name):
    with pytest.raises(InvalidInput) as error:
        transcribed(**fields)
    assert error.value.param == name


def test_a_form_without_its_file_is_refused():
    body = b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\na/b\r\n--x--\r\n'
    with pytest.raises(InvalidInput, match="`file` is missing"):
        TranscriptionDialect(translates=False).decode(raw(body, ASR, content_type="multipart/form-data; boundary=x"))


def test_transcripts_in_every_format():
    dialect = TranscriptionDialect(translates=False)

    def answer(format: str) -> tuple[str, str]:
        kind, body = written(dialect, dialect.decode(form(response_format=format)), SPOKEN)
        return kind, body.decode()

    assert answer("text") == ("text/plain; charset=utf-8", "Hello there. General!\n")
    assert json.loads(answer("json")[1]) == {
        "text": "Hello there. General!",
        "usage": {"type": "duration", "seconds": 5},
    }
    srt = "1\n00:00:00,000 --> 00:00:01,500\nHello there.\n\n2\n00:00:01,500 --> 01:02:03,004\nGeneral -> !\n\n"
    assert answer("srt")[1] == srt
    assert answer("vtt")[1].startswith("WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nHello there.\n\n")
    verbose = json.loads(answer("verbose_json")[1])
    assert (verbose["task"], verbose["language"], verbose["duration"]) == ("transcribe", "english", 4.2)
    assert verbose["words"] == [
        {"word": "Hello", "start": 0.0, "end": 0.5},
        {"word": "there.", "start": 0.5, "end": 1.5},
    ]
    first, second = verbose["segments"]
    assert (first["avg_logprob"], first["no_speech_prob"], first["tokens"]) == (-0.5, 0.01, [1, 2])
    assert "avg_logprob" not in second  # not a null
