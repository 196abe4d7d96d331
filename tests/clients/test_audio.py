"""Clients that speak and listen, unmodified, against tiny models of the real architectures."""

import json
import shutil

import pytest

from tests.clients.conftest import SCRIPTS, Clients, Report, wait_until_loaded
from tests.e2e.server import Server, make_account
from tests.e2e.test_audio import ENTRY
from tests.sounds import siren, sound_file
from tests.tiny_audio import build_bark, build_speecht5, build_wav2vec, build_whisper

BARK, WHISPER, EARS, MASK = "tiny/bark", "tiny/whisper", "tiny/ears", "tiny/mask"
FLAC = ["audio/flac", "664c6143", True]


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    """Clients of a server that speaks and listens."""
    folder, data = tmp_path_factory.mktemp("audio"), tmp_path_factory.mktemp("data")
    token = make_account(data, "alice")
    entries = (
        (BARK, build_bark(folder / "bark"), "text-to-speech", "bark"),
        (WHISPER, build_whisper(folder / "whisper"), "automatic-speech-recognition", "pipelines-audio"),
        (EARS, build_wav2vec(folder / "ears", "classification"), "audio-classification", "pipelines-audio"),
        (MASK, build_speecht5(folder / "mask"), "audio-to-audio", "pipelines-audio"),
    )
    (data / "catalog.toml").write_text("".join(ENTRY.format(*entry) for entry in entries))
    running = Server(data, env={"PRONTO_LOAD_TIMEOUT": "100", "PRONTO_THREADS": "1"})
    running.token = token
    wait_until_loaded(running, BARK, WHISPER, EARS, MASK, seconds=110)
    yield Clients(running, tmp_path_factory.mktemp("home"))
    assert running.stop() == 0


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / "siren.flac"
    path.write_bytes(sound_file(siren(2)))
    return str(path)


def report(studio: Clients, name: str, script: str, *arguments: str, **variables: str) -> Report:
    said = studio.run(name, SCRIPTS / script, studio.server.url, studio.server.token, *arguments, **variables)
    return Report(json.loads(said.splitlines()[-1]))


@pytest.mark.parametrize("version", ["0.24.7", "2.4.0"])
def test_huggingface_hub(studio, recording, version):
    variables = {"HF_ENDPOINT": studio.server.url}
    if version == "0.24.7":
        variables["HF_INFERENCE_ENDPOINT"] = studio.server.url
    models = (BARK, WHISPER, EARS, MASK)
    found = report(studio, f"hub-{version}", "ask_audio_hub.py", *models, recording, **variables)
    assert found["version"] == version
    assert found["speech"] == found["speech_async"] == ["bytes", "664c6143", True]
    assert found["wav"][1] == "52494646"
    assert found["text"] == found["text_of_path"] == found["text_async"] != ""
    assert len(found["labels"]) == 5
    assert found["converted"] == [["speech", "audio/flac", True]]
    assert found.raised("bad")["status"] == 422
    if version == "2.4.0":
        assert [text for text, _ in found["chunks"]]
        assert [label for label, _ in found["two"]] == [label for label, _ in found["labels"][:2]]
        assert found["warm"][1] == found["voice"][1] == "664c6143"
        assert "v2/en_speaker_0" in str(found.raised("no_voice"))


@pytest.mark.parametrize("version", ["2.7.0", "4.13.30"])
def test_javascript(studio, recording, version):
    found = report(studio, f"js-{version}", "ask_audio.mjs", BARK, WHISPER, EARS, MASK, version, recording)
    assert found["speech"] == FLAC
    assert found["text"]["text"] != ""
    assert [set(each) for each in found["labels"]] == [{"label", "score"}] * 5
    assert found["converted"] == [["speech", "audio/flac", True]]
    assert "is not a sound file" in found.raised("bad")["message"]


def test_openai(studio, recording):
    found = report(studio, "openai", "ask_audio_openai.py", BARK, WHISPER, recording)
    kinds = {"None": "audio/mpeg", "opus": "audio/ogg", "flac": "audio/flac", "wav": "audio/wav", "pcm": "audio/pcm"}
    for name, kind in kinds.items():
        assert found[f"speech_{name}"][0] == kind
    if shutil.which("ffmpeg"):
        assert found["speech_aac"][0] == "audio/aac"
    else:
        assert "ffmpeg" in found.raised("speech_aac")["message"]
    assert found["fast"][2] < 0.7 * found["speech_pcm"][2]
    assert found["streamed"] > 500
    assert found["json"] == found["async"] == found["text"].strip() != ""
    assert found["srt"].startswith("1\n00:00:0")
    assert found["vtt"].startswith("WEBVTT")
    verbose = found["verbose"]
    assert (verbose["language"], verbose["duration"]) == ("english", 2.0)
    assert verbose["segments"][0][4:] == [True, True]
    assert verbose["words"]
    assert found["english_verbose"]["language"] == "english"
    assert isinstance(found["english"], str)
    for name, param in (("bad_voice", "voice"), ("bad_file", "file"), ("bad_language", "language")):
        failure = found.raised(name)
        assert (failure["raised"], failure["status"], failure["param"]) == ("BadRequestError", 400, param)
    assert found.raised("wrong_model")["status"] in (400, 404)
