"""Sound files in and out, whatever clients send: formats, rates, cut ends, bombs; and texts in pieces."""

import contextlib
import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronto.core.audio_work import ClassifySound
from pronto.core.errors import InvalidInput
from pronto.core.files import served_files
from pronto.core.media import Media
from pronto.core.request import InferenceRequest
from pronto.core.tasks import Task
from pronto.engines.audio.sentences import split_text
from pronto.engines.audio.voices import Voices, find_files, read_array
from pronto.engines.media import ffmpeg, sound
from pronto.engines.media.resample import resample, resampled, stretch
from pronto.engines.media.sound import open_sound
from pronto.engines.media.sound_files import check_format, write_sound
from tests.sounds import siren, sound_file

TYPES = ("audio/flac", "audio/wav", "audio/mpeg", "audio/ogg")
has_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")


def opened(data: bytes, rate: int = 16_000, most: float = 1800.0):
    media = Media(digest="d", size=len(data), data=data, name="file")
    work = ClassifySound(sound=media)
    return open_sound(InferenceRequest(id="r", model="m", task=Task.AUDIO_CLASSIFICATION, work=work), media, rate, most)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("rate", [16_000, 22_050, 24_000, 44_100])
def test_what_is_written_is_read_again(kind, rate):
    samples = siren(1.5, rate=rate)
    made = write_sound(samples, rate, kind)
    assert made == write_sound(samples, rate, kind)  # the same sound, the same bytes
    back = opened(made.data, rate)
    assert abs(len(back) - len(samples)) <= 2
    assert np.corrcoef(back[: len(samples)], samples[: len(back)])[0, 1] > 0.8


def test_bare_samples_are_16_bits_at_24_khz():
    data = write_sound(np.array([0, 0.5, 2.0, -2.0], np.float32), 24_000, "audio/pcm").data
    assert np.frombuffer(data, "<i2").tolist() == [0, 16384, 32767, -32767]


@pytest.mark.parametrize(("source", "target"), [(44_100, 16_000), (16_000, 24_000), (8_000, 16_000), (11_025, 48_000)])
def test_pieces_are_resampled_as_the_whole(source, target):
    from math import gcd

    from scipy.signal import resample_poly

    samples = siren(3, rate=source)
    pieces = [samples[:7], samples[7:9_000], samples[9_000:]]
    made = np.concatenate(list(resampled(pieces, source, target)))
    common = gcd(source, target)
    np.testing.assert_allclose(made, resample_poly(samples, target // common, source // common), atol=1e-6)


def test_odd_rates_take_little_memory():
    assert abs(len(resample(siren(1, rate=44_099), 44_099, 16_000)) - 16_000) <= 2


@pytest.mark.parametrize("speed", [0.25, 0.5, 1.5, 4.0])
def test_another_speed_keeps_the_pitch(speed):
    tone = np.sin(2 * np.pi * 220 * np.arange(48_000) / 24_000).astype(np.float32)
    made = stretch(tone, 24_000, speed)
    assert len(made) == pytest.approx(len(tone) / speed, rel=0.05)
    spectrum = np.abs(np.fft.rfft(made * np.hanning(len(made))))
    assert spectrum.argmax() * 24_000 / len(made) == pytest.approx(220, abs=3)
    assert np.abs(made).max() < 1.2


def test_several_channels_become_one():
    left = siren(1)
    both = np.stack([left, np.zeros_like(left)], axis=1)
    np.testing.assert_allclose(opened(sound_file(both, "WAV", "FLOAT")), left / 2, atol=1e-6)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("share", [0.7, 0.3])
def test_a_file_that_is_cut_off_is_refused(kind, share):
    data = write_sound(siren(3), 16_000, kind).data
    with pytest.raises(InvalidInput, match="`file`") as error:
        opened(data[: int(len(data) * share)])
    assert error.value.param == "file"


NO_SOUND = (
    b"RIFF\0\0\0\0WAVE",
    b"OggS" + bytes(100),
    b"fLaC" + bytes(60),
    b"ID3" + bytes(200),
    b"\xff\xfb" + bytes(400),
    b"<html>not a sound</html>",
    b"#EXTM3U\nfile:///etc/passwd",
    b"\x1aE\xdf\xa3" + bytes(500),
    b"x",
)


@pytest.mark.parametrize("data", NO_SOUND)
def test_what_is_no_sound_is_refused(data):
    with pytest.raises(InvalidInput, match="`file`"):
        opened(data)


@given(st.binary(max_size=300), st.sampled_from([b"", b"RIFF\0\0\0\0WAVEfmt ", b"OggS", b"fLaC", b"FORM\0\0\0\0AIFF"]))
def test_any_bytes_are_sound_or_refused(data, head):
    with contextlib.suppress(InvalidInput):
        assert np.isfinite(opened(head + data)).all()


def test_a_recording_is_refused_before_it_is_decoded_when_it_says_that_it_is_long(monkeypatch):
    data = sound_file(siren(1).repeat(40) * 0)
    monkeypatch.setattr(sound, "_read", None)  # nothing is read
    with pytest.raises(InvalidInput, match="longer than 30 seconds"):
        opened(data, most=30)


def test_a_recording_of_unknown_length_is_read_no_further_than_allowed():
    class Endless:
        def __iter__(self):
            while True:
                yield np.zeros(16_000, np.float32)

    with pytest.raises(InvalidInput, match="longer than 3 seconds"):
        list(sound._bounded(Endless(), 16_000, 3, "file"))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_samples_that_are_no_numbers_are_refused(value):
    samples = siren(0.5)
    samples[100] = value
    with pytest.raises(InvalidInput, match="no numbers"):
        opened(sound_file(samples, "WAV", "FLOAT"))


def test_a_file_without_samples_and_one_of_odd_rate_are_refused():
    with pytest.raises(InvalidInput, match=r"without any sound|cut off"):
        opened(sound_file(siren(0), "WAV"))
    with pytest.raises(InvalidInput, match="100 Hz"):
        opened(sound_file(siren(0.1), "WAV", rate=100))


@has_ffmpeg
@pytest.mark.parametrize(("name", "codec"), [("m4a", "aac"), ("webm", "libopus"), ("adts", "aac"), ("mp4", "aac")])
def test_other_formats_are_read_by_ffmpeg(tmp_path, name, codec):
    source, made = tmp_path / "a.wav", tmp_path / f"a.{name}"
    source.write_bytes(sound_file(siren(2), "WAV"))
    command = ["ffmpeg", "-v", "error", "-i", source, "-c:a", codec, *(["-f", name] if name == "adts" else []), made]
    subprocess.run(command, check=True)
    samples = opened(made.read_bytes())
    assert len(samples) == pytest.approx(32_000, abs=2500)
    with pytest.raises(InvalidInput, match="longer than 1 seconds"):
        opened(made.read_bytes(), most=1)
    if name != "webm":  # what browsers record has no end mark
        with pytest.raises(InvalidInput):
            opened(made.read_bytes()[: made.stat().st_size // 2])


@has_ffmpeg
def test_ffmpeg_reads_no_other_file(tmp_path):
    secret = tmp_path / "secret.wav"
    secret.write_bytes(sound_file(siren(1), "WAV"))
    for text in (f"ffconcat version 1.0\nfile {secret}\n", f"#EXTM3U\n#EXTINF:1,\n{secret}\n"):
        for demuxer in ("matroska", "mov", "wav", "ogg"):
            with pytest.raises(ffmpeg.FfmpegFailed):
                list(ffmpeg.decoded(text.encode(), demuxer, 16_000, 10))


@has_ffmpeg
def test_aac_is_made_by_ffmpeg():
    made = write_sound(siren(1), 16_000, "audio/aac")
    assert made.data == write_sound(siren(1), 16_000, "audio/aac").data
    assert len(opened(made.data)) == pytest.approx(16_000, abs=2500)


def test_without_ffmpeg_what_needs_it_is_refused_by_name(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(InvalidInput, match="aac needs ffmpeg"):
        check_format("audio/aac")
    with pytest.raises(InvalidInput, match="WAV, FLAC, OGG or MP3"):
        opened(b"\0\0\0\x18ftypM4A " + bytes(100))


@given(st.text(max_size=400), st.integers(1, 50))
def test_every_word_of_a_text_is_in_its_pieces(text, most):
    pieces = split_text(text, lambda piece: len(piece) <= most)
    assert all(piece and len(piece) <= most for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(text.split())


def test_a_text_is_cut_where_a_speaker_would_breathe():
    text = "First one. Second, with a comma! Third"
    assert split_text(text, lambda piece: len(piece) <= 24) == ["First one.", "Second, with a comma!", "Third"]
    assert split_text("a b c", lambda piece: True) == ["a b c"]


def test_voices_are_files_in_one_folder_and_bare_numbers(tmp_path):
    folder = tmp_path / "speaker_embeddings" / "v2"
    folder.mkdir(parents=True)
    np.save(folder / "ann.npy", np.arange(3.0))
    (folder / "cut.npy").write_bytes((folder / "ann.npy").read_bytes()[:-8])
    np.save(folder / "words.npy", np.array(["a"]))
    files = find_files(tmp_path, ".npy")
    assert set(files) == {"v2/ann", "v2/cut", "v2/words"}
    assert read_array(files["v2/ann"]).tolist() == [0, 1, 2]
    for name in ("v2/cut", "v2/words"):
        with pytest.raises(ValueError, match=r"voice|map|size|bytes"):
            read_array(files[name])


def test_openai_s_voices_stand_for_the_model_s_own():
    voices = Voices({f"v2/en_speaker_{n}": n for n in range(10)} | {"v2/de_speaker_0": 99})
    assert voices.choose(None) is None
    assert len({voices.choose(name) for name in ("alloy", "echo", "nova", "onyx")}) == 4
    assert voices.choose("de_speaker_0") == 99
    with pytest.raises(InvalidInput, match="'x' is not a voice"):
        voices.choose("x")


def test_voices_of_a_repository_are_fetched_and_other_arrays_are_not():
    voices = ["speaker_embeddings/v2/en_speaker_6_fine_prompt.npy", "speaker_embeddings/ann.npy"]
    others = ["data.npy", "speaker_embeddings/../x.npy", "speaker_embeddings/v2/all.npz"]
    assert set(served_files([*voices, *others, "model.safetensors"])) == {*voices, "model.safetensors"}
