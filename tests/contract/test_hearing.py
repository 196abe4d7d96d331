"""Models that hear, real architectures with tiny weights: against transformers' own pipelines, alone and in batches."""

import numpy as np
import pytest
import torch

from pronto.core.audio_work import ClassifySound, ConvertSound, Span, Transcribe
from pronto.core.events import Done, Finish
from pronto.core.tasks import Task
from pronto.engines.base import Failed
from tests.contract.audio_scene import Studio, built, media
from tests.sounds import heard, siren, sound_file
from tests.tiny_audio import build_encodec, build_speecht5, build_wav2vec, build_whisper

ASR = Task.AUTOMATIC_SPEECH_RECOGNITION
pytestmark = pytest.mark.filterwarnings("ignore")
GREEDY = {"num_beams": 1, "max_new_tokens": None}  # the pipeline's own defaults are five beams


def file(seconds: float, seed: int = 0) -> bytes:
    return sound_file(siren(seconds, seed))


def sound(seconds: float, seed: int = 0):
    return media(file(seconds, seed))


@pytest.fixture(scope="module")
def whisper_folder(tmp_path_factory):
    return built(build_whisper, tmp_path_factory.mktemp("whisper"))


@pytest.fixture(scope="module")
def whisper(whisper_folder):
    return Studio(whisper_folder, ASR, "pipelines-audio")


@pytest.fixture(scope="module")
def library(whisper_folder):
    """What transformers' own pipeline makes of a recording; in half minutes when it is longer."""
    from transformers import pipeline

    listen = pipeline(ASR, model=str(whisper_folder))

    def hear(data: bytes, times: bool | str, language: str):
        samples = heard(data)[0]
        chunks = {"chunk_length_s": 30} if len(samples) > 30 * 16_000 else {}
        asked = {**GREEDY, "language": language, "task": "transcribe"}
        return listen(samples, return_timestamps=times, generate_kwargs=asked, **chunks)

    return hear


@pytest.mark.parametrize("seconds", [8, 45])
@pytest.mark.parametrize(("times", "asked"), [((), False), (("segment",), True), (("word",), "word")])
def test_whisper_hears_the_same_as_the_library(whisper, library, seconds, times, asked):
    data = file(seconds, 1)
    [made] = whisper.ask(Transcribe(sound=media(data), times=times, language="en"))
    expected = library(data, asked, "en")
    assert made.text == expected["text"]
    assert len(made.text) > 3
    assert (made.seconds, made.language) == (float(seconds), "english")
    chunks = expected.get("chunks", [])
    spans = made.segments + made.words
    assert [span.text for span in spans] == [chunk["text"] for chunk in chunks]
    compared = 0
    for span, chunk in zip(spans, chunks, strict=True):
        assert 0 <= span.start <= span.end <= seconds
        start, end = chunk["timestamp"]
        if end is not None and start <= end <= seconds:  # others are put right: random weights say such things
            assert (span.start, span.end) == pytest.approx((start, end), abs=0.011)
            compared += 1
    assert compared or not chunks


def test_whisper_hears_the_same_in_any_company(whisper):
    works = [Transcribe(sound=sound(2 + n, n), times=("segment",), with_scores=True) for n in range(2)]
    works.append(Transcribe(sound=sound(35, 9), times=("segment",), with_scores=True))
    for together, work in zip(whisper.ask(*works), works, strict=True):
        [alone] = whisper.ask(work)
        assert rounded(together) == rounded(alone)
        assert alone.language in ("english", "german", "french")
        assert all(span.logprob < 0 < span.no_speech < 1 for span in alone.segments)


def rounded(transcript):
    """Equal but for the last digits of scores."""
    scored = [(s.text, s.start, s.end, round(s.logprob, 3), round(s.no_speech, 4)) for s in transcript.segments]
    return transcript.text, transcript.language, scored


def test_a_translation_a_prompt_and_another_language_change_what_is_heard(whisper):
    base = Transcribe(sound=sound(3), language="de")
    more = [
        Transcribe(sound=sound(3), language="fr"),
        Transcribe(sound=sound(3), language="German", translate=True),
        Transcribe(sound=sound(3), language="de", prompt="hello world"),
    ]
    [plain], others = whisper.ask(base), whisper.ask(*more)
    assert plain.language == "german"
    assert [other.language for other in others] == ["french", "english", "german"]
    assert len({plain.text, *(other.text for other in others)}) > 2


def test_the_same_seed_rolls_the_same_words(whisper):
    works = [Transcribe(sound=sound(3), temperature=1.0, seed=seed, language="en") for seed in (1, 2)]
    once, again = whisper.ask(*works), [whisper.ask(work)[0] for work in reversed(works)][::-1]
    assert [each.text for each in once] == [each.text for each in again]
    assert once[0].text != once[1].text


def test_nothing_is_heard_in_silence(whisper):
    [made] = whisper.ask(Transcribe(sound=media(sound_file(siren(40) * 0)), times=("segment",)))
    assert (made.text, made.segments, made.seconds) == ("", (), 40.0)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"language": "klingon"}, "language"),
        ({"prompt": "<|startoftranscript|>"}, "prompt"),
        ({"times": ("char",)}, "return_timestamps"),
        ({"max_new_tokens": 5000}, "max_new_tokens"),
    ],
)
def test_what_whisper_cannot_do_is_refused_by_name(whisper, fields, param):
    [failed] = whisper.ask(Transcribe(sound=sound(1), **fields))
    assert failed.param == param


def test_a_long_prompt_keeps_its_end(whisper):
    plain, long = whisper.ask(
        Transcribe(sound=sound(3), prompt="b" * 15, language="en"),
        Transcribe(sound=sound(3), prompt="x" * 500 + "b" * 15, language="en"),
    )
    assert plain.text == long.text


def test_words_out_of_no_numbers_are_a_failure(whisper_folder):
    studio = Studio(whisper_folder, ASR, "pipelines-audio")
    with torch.no_grad():
        studio.engine._model._listener._model.model.encoder.layer_norm.weight.fill_(float("nan"))
    [failed] = studio.ask(Transcribe(sound=sound(1)))
    assert failed.kind == "generation"


def test_who_leaves_is_not_listened_to(whisper):
    whisper.add(1, Transcribe(sound=sound(90), times=("segment",)))
    whisper.left = frozenset({1})
    events = whisper.run()
    whisper.left = frozenset()
    assert [type(event) for event in events[1]] == [Finish, Done]


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_letters_are_heard_as_by_the_library_and_alike_in_any_company(tmp_path, norm):
    from transformers import pipeline

    folder = built(build_wav2vec, tmp_path, "ctc", norm)
    studio, listen = Studio(folder, ASR, "pipelines-audio"), pipeline(ASR, model=str(folder))
    for seconds, chunks in ((2, {}), (70, {"chunk_length_s": 30})):
        data = file(seconds, 2)
        work = Transcribe(sound=media(data), times=("word", "char"))
        made, *_ = studio.ask(work, Transcribe(sound=sound(3)), Transcribe(sound=sound(1, 4)))
        assert [made] == studio.ask(work)
        for kind in ("word", "char"):
            expected = listen(heard(data)[0], return_timestamps=kind, **chunks)
            assert made.text == expected["text"]
            spans = made.words if kind == "word" else made.chars
            assert [(s.text, (s.start, s.end)) for s in spans] == [
                (c["text"], c["timestamp"]) for c in expected["chunks"]
            ]
    assert studio.usage.audio_ms == 70_000


def test_words_of_letters_become_lines(tmp_path):
    studio = Studio(built(build_wav2vec, tmp_path), ASR, "pipelines-audio")
    [made] = studio.ask(Transcribe(sound=sound(40), times=("segment", "word")))
    assert all(isinstance(span, Span) and span.end - span.start <= 10 for span in made.segments[:-1])
    assert " ".join(span.text for span in made.segments) == " ".join(span.text for span in made.words)
    [quiet] = studio.ask(Transcribe(sound=media(sound_file(siren(1) * 0))))
    assert quiet.text == ""
    failed = studio.ask(Transcribe(sound=sound(1), translate=True), Transcribe(sound=sound(1), prompt="x"))
    assert [each.param for each in failed] == ["task", "prompt"]


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_labels_are_those_of_the_library_and_alike_in_any_company(tmp_path, norm):
    from transformers import pipeline

    folder = built(build_wav2vec, tmp_path, "classification", norm)
    studio, listen = Studio(folder, Task.AUDIO_CLASSIFICATION, "pipelines-audio"), pipeline(
        "audio-classification", model=str(folder)
    )  # fmt: skip
    files = [file(seconds, seconds) for seconds in (1, 2, 3)] + [file(2, 7)]
    for function in (None, "sigmoid", "none"):
        made = studio.ask(*(ClassifySound(sound=media(data), top_k=3, function=function) for data in files))
        for data, labels in zip(files, made, strict=True):
            expected = listen(heard(data)[0], top_k=3, function_to_apply=function or "softmax")
            assert [each.label for each in labels.rows[0]] == [each["label"] for each in expected]
            assert [each.score for each in labels.rows[0]] == pytest.approx(
                [each["score"] for each in expected], abs=1e-5
            )
    too_long, tiny = studio.ask(ClassifySound(sound=media(file(130))), ClassifySound(sound=media(file(0.001))))
    assert "120 seconds" in too_long.message
    assert len(tiny.rows[0]) == 5


def test_one_bad_number_fails_its_request_and_not_its_batch(tmp_path):
    folder = built(build_wav2vec, tmp_path, "classification", "layer")
    studio = Studio(folder, Task.AUDIO_CLASSIFICATION, "pipelines-audio")
    model = studio.engine._model._listener._model
    forward = model.forward

    def poisoned(**inputs):
        made = forward(**inputs)
        made.logits[inputs["input_values"].abs().max(-1).values > 5] = float("nan")
        return made

    model.forward = poisoned
    click = np.zeros(16_000, np.float32)
    click[100] = 1.0
    good, bad = studio.ask(ClassifySound(sound=sound(1)), ClassifySound(sound=media(sound_file(click))))
    assert len(good.rows[0]) == 5
    assert isinstance(bad, Failed)
    assert bad.kind == "generation"


def test_a_recording_in_another_voice_is_that_of_the_library(tmp_path):
    from transformers import SpeechT5FeatureExtractor, SpeechT5ForSpeechToSpeech, SpeechT5HifiGan

    folder, data = built(build_speecht5, tmp_path), file(1)
    studio = Studio(folder, Task.AUDIO_TO_AUDIO, "pipelines-audio")
    made, unknown = studio.ask(
        ConvertSound(sound=media(data), voice="ann", seed=3), ConvertSound(sound=media(data), voice="bob")
    )
    assert (made.sounds[0].label, made.seconds) == ("speech", 1.0)
    model = SpeechT5ForSpeechToSpeech.from_pretrained(folder)
    vocoder = SpeechT5HifiGan.from_pretrained(folder / "vocoder")
    inputs = SpeechT5FeatureExtractor.from_pretrained(folder)(
        audio=heard(data)[0], sampling_rate=16_000, return_tensors="pt"
    )
    voice = torch.from_numpy(np.load(folder / "speaker_embeddings/ann.npy", allow_pickle=False))[None]
    torch.manual_seed(3)
    expected = model.generate_speech(inputs["input_values"], voice, vocoder=vocoder).numpy()
    np.testing.assert_allclose(heard(made.sounds[0].sound.data)[0], np.clip(expected, -1, 1), atol=1e-4)
    assert "It has ann." in unknown.message


def test_a_codec_gives_back_what_it_keeps(tmp_path):
    from transformers import EncodecFeatureExtractor, EncodecModel

    folder, samples = built(build_encodec, tmp_path), siren(1, rate=24_000)
    studio = Studio(folder, Task.AUDIO_TO_AUDIO, "pipelines-audio")
    [made] = studio.ask(ConvertSound(sound=media(sound_file(samples, rate=24_000))))
    extractor = EncodecFeatureExtractor.from_pretrained(folder)
    samples = heard(sound_file(samples, rate=24_000))[0]
    inputs = extractor(raw_audio=samples, sampling_rate=24_000, return_tensors="pt")
    expected = EncodecModel.from_pretrained(folder)(inputs["input_values"]).audio_values[0, 0].detach().numpy()
    np.testing.assert_allclose(heard(made.sounds[0].sound.data)[0], np.clip(expected, -1, 1)[: len(samples)], atol=1e-3)


def test_a_model_of_another_kind_is_refused_at_load(tmp_path):
    (tmp_path / "config.json").write_text('{"architectures": ["BertModel"]}')
    with pytest.raises(ValueError, match="cannot be served for audio-classification"):
        Studio(tmp_path, Task.AUDIO_CLASSIFICATION, "pipelines-audio")
