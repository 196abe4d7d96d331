"""Sound over real HTTP: a real server, real workers, a tiny Bark, a tiny Whisper and a tiny classifier."""

import base64
import json
import urllib.error
import urllib.request
import uuid

import pytest

from tests.e2e.http import eventually, ledger, open_stream
from tests.e2e.server import Server, make_account, run_cli
from tests.sounds import heard, siren, sound_file
from tests.tiny_audio import build_bark, build_wav2vec, build_whisper

BARK, WHISPER, EARS = "tiny/bark", "tiny/whisper", "tiny/ears"
ENTRY = '[[models]]\nid = "{}"\nfolder = "{}"\ntask = "{}"\nengine = "{}"\npreload = true\n\n'


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder, data = tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("data")
    token = make_account(data, "alice")
    entries = (
        (BARK, build_bark(folder / "bark"), "text-to-speech", "bark"),
        (WHISPER, build_whisper(folder / "whisper"), "automatic-speech-recognition", "pipelines-audio"),
        (EARS, build_wav2vec(folder / "ears", "classification"), "audio-classification", "pipelines-audio"),
    )
    (data / "catalog.toml").write_text("".join(ENTRY.format(*entry) for entry in entries))
    # Tiny layers are quicker on one thread, most of all beside other programs.
    running = Server(data, env={"PRONTO_THREADS": "1"})
    running.token = token
    yield running
    assert running.stop() == 0


def ask(server: Server, path: str, body: object, **headers: str):
    """Status, headers and the bytes of the body."""
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"authorization": f"Bearer {server.token}", "x-wait-for-model": "true"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"{server.url}{path}", payload, sent)
    try:
        with urllib.request.urlopen(request, timeout=110) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def form(data: bytes, **fields: str | list[str]) -> tuple[bytes, str]:
    """A body of multipart/form-data with the file `file`, and its content type."""
    mark = uuid.uuid4().hex
    parts = [f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="a.flac"\r\n\r\n'.encode() + data]
    for name, values in fields.items():
        for value in [values] if isinstance(values, str) else values:
            parts.append(f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode())
    return b"\r\n".join(parts) + f"\r\n--{mark}--\r\n".encode(), f"multipart/form-data; boundary={mark}"


def transcribe(server: Server, data: bytes, route: str = "transcriptions", **fields):
    body, kind = form(data, model=WHISPER, **fields)
    return ask(server, f"/v1/audio/{route}", body, content_type=kind)


def test_speech_in_the_format_of_accept(server):
    body = {"inputs": "Hello there.", "parameters": {"seed": 3}}
    status, headers, flac = ask(server, f"/models/{BARK}", body, accept="*/*")
    assert (status, headers["content-type"]) == (200, "audio/flac"), flac
    assert headers["x-compute-characters"] == "12"
    samples, rate = heard(flac)
    assert rate == 24_000
    assert len(samples) > rate
    again = ask(server, f"/models/{BARK}", body, x_use_cache="0")
    assert again[1]["x-compute-type"] == "cpu"
    assert again[2] == flac  # the same seed, the same bytes
    row = ledger(server.data_dir)[-1]
    assert row["task"] == "text-to-speech"
    assert row["audio_ms"] == len(samples) * 1000 // rate
    for accept, head in (("audio/wav", b"RIFF"), ("audio/ogg", b"OggS"), ("audio/mpeg", b"\xff")):
        status, headers, data = ask(server, f"/models/{BARK}", body, accept=accept)
        assert (status, headers["content-type"]) == (200, accept)
        assert data.startswith(head)
        assert abs(len(heard(data)[0]) / heard(data)[1] - len(samples) / rate) < 0.1


def test_an_unknown_voice_is_refused_with_some_that_are_known(server):
    body = {"inputs": "Hello", "parameters": {"voice": "nobody"}}
    status, _, data = ask(server, f"/models/{BARK}", body)
    assert status == 422
    assert "v2/en_speaker_0" in json.loads(data)["error"]


def test_openai_speech(server):
    body = {"model": BARK, "input": "Hello there.", "voice": "alloy", "seed": 1}
    status, headers, data = ask(server, "/v1/audio/speech", body)
    assert (status, headers["content-type"]) == (200, "audio/mpeg"), data
    assert ask(server, "/v1/audio/speech", body)[1]["x-compute-type"] == "cache"
    fast = ask(server, "/v1/audio/speech", {**body, "speed": 2.0, "response_format": "pcm"})
    slow = ask(server, "/v1/audio/speech", {**body, "response_format": "pcm"})
    assert abs(len(slow[2]) / len(fast[2]) - 2) < 0.2
    for field, value in (("speed", 9), ("voice", "nobody"), ("response_format", "doc"), ("stream_format", "sse")):
        status, _, data = ask(server, "/v1/audio/speech", {**body, field: value})
        assert (status, json.loads(data)["error"]["param"]) == (400, field)
    status, _, data = ask(server, "/v1/audio/speech", {**body, "input": "a" * 5000})
    assert json.loads(data)["error"]["param"] == "input"


def test_speech_recognition_on_the_hugging_face_routes(server):
    data = sound_file(siren(3))
    status, _, body = ask(server, f"/models/{WHISPER}", data)
    assert status == 200, body
    assert set(json.loads(body)) == {"text"}
    row = ledger(server.data_dir)[-1]
    assert row["audio_ms"] == 3000
    asked = {"inputs": base64.b64encode(data).decode(), "parameters": {"return_timestamps": True}}
    answer = json.loads(ask(server, f"/models/{WHISPER}", asked)[2])
    assert all(0 <= chunk["timestamp"][0] <= chunk["timestamp"][1] <= 3 for chunk in answer["chunks"])
    assert "".join(chunk["text"] for chunk in answer["chunks"]) == answer["text"]


def test_openai_transcriptions_in_every_format(server):
    data = sound_file(siren(40))
    verbose = json.loads(
        transcribe(server, data, response_format="verbose_json", **{"timestamp_granularities[]": ["word", "segment"]})[
            2
        ]
    )
    assert (verbose["task"], verbose["duration"]) == ("transcribe", 40.0)
    assert verbose["language"] in ("english", "german", "french")
    assert verbose["words"][0].keys() == {"word", "start", "end"}
    assert {"avg_logprob", "no_speech_prob", "compression_ratio", "tokens"} <= verbose["segments"][0].keys()
    text = transcribe(server, data, response_format="text")
    assert text[1]["content-type"].startswith("text/plain")
    assert json.loads(transcribe(server, data)[2])["text"] == text[2].decode().strip()
    assert transcribe(server, data)[1]["x-compute-type"] == "cache"  # the likeliest words are always the same
    assert transcribe(server, data, response_format="srt")[2].startswith(b"1\n00:00:")
    assert transcribe(server, data, response_format="vtt")[2].startswith(b"WEBVTT\n\n00:00:")
    english = json.loads(transcribe(server, data, "translations", response_format="verbose_json")[2])
    assert (english["task"], english["language"]) == ("translate", "english")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"language": "klingon"}, "language"),
        ({"response_format": "doc"}, "response_format"),
        ({"temperature": "7"}, "temperature"),
        ({"timestamp_granularities[]": "word"}, "timestamp_granularities"),
        ({"stream": "true"}, "stream"),
    ],
)
def test_what_openai_s_route_cannot_do_is_named(server, fields, param):
    status, _, body = transcribe(server, sound_file(siren(1)), **fields)
    assert (status, json.loads(body)["error"]["param"]) == (400, param)


def test_bad_sound_is_its_sender_s_fault_and_harms_nobody(server):
    whole = sound_file(siren(2), "WAV")
    bad = {
        "fake": b"not a sound at all" * 50,
        "cut": whole[: len(whole) // 2],
        "empty wav": sound_file(siren(0), "WAV"),
    }
    for name, data in bad.items():
        status, _, body = ask(server, f"/models/{EARS}", data)
        assert status == 422, name
        assert "`inputs`" in json.loads(body)["error"], name
        status, _, body = transcribe(server, data)
        assert (status, json.loads(body)["error"]["param"]) == (400, "file"), name
    assert ask(server, f"/models/{EARS}", whole)[0] == 200


def test_a_long_recording_that_packs_small_is_refused_before_it_is_heard(server):
    bomb = sound_file(siren(1).repeat(1801) * 0)
    assert len(bomb) < 2_000_000
    status, _, body = ask(server, f"/models/{WHISPER}", bomb)
    assert (status, "1800 seconds" in json.loads(body)["error"]) == (422, True)


def test_audio_classification(server):
    status, _, body = ask(server, f"/models/{EARS}", sound_file(siren(1)))
    answer = json.loads(body)
    assert status == 200
    assert [set(each) for each in answer] == [{"label", "score"}] * 5
    asked = {"inputs": base64.b64encode(sound_file(siren(1))).decode(), "parameters": {"top_k": 2}}
    assert json.loads(ask(server, f"/models/{EARS}", asked)[2]) == answer[:2]
    wrong = ask(server, f"/models/{EARS}", {**asked, "parameters": {"function_to_apply": "cosine"}})
    assert (wrong[0], "function_to_apply" in json.loads(wrong[2])["error"]) == (422, True)


def test_who_leaves_is_not_spoken_to(server):
    """A long text takes minutes on this machine; the worker is free again soon after its client has left."""
    body = {"inputs": "Many words follow. " * 200, "parameters": {"seed": 1}}
    connection = open_stream(server.url, f"/models/{BARK}", body, server.token)
    eventually(lambda: any(row["ended"] is None for row in ledger(server.data_dir)))
    connection.close()
    eventually(lambda: all(row["ended"] is not None for row in ledger(server.data_dir)))
    assert ledger(server.data_dir)[-1]["audio_ms"] == 0


def test_models_are_listed_with_their_tasks(server):
    listed = run_cli(server.data_dir, "models", "list").stdout
    assert "automatic-speech-recognition" in listed
