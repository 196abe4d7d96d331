"""Models that speak, real architectures with tiny weights: against transformers' own result for the same input."""

import json

import numpy as np
import pytest
import torch

from pronto.core.audio_work import Speak
from pronto.core.events import Done, Finish, Progress
from pronto.core.tasks import Task
from pronto.engines.base import Failed
from tests.contract.audio_scene import Studio, built
from tests.sounds import heard
from tests.tiny_audio import build_bark, build_musicgen, build_speecht5_text, build_vits

TTS = Task.TEXT_TO_SPEECH
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def bark_folder(tmp_path_factory):
    return built(build_bark, tmp_path_factory.mktemp("bark"))


@pytest.fixture(scope="module")
def bark(bark_folder):
    return Studio(bark_folder, TTS, "bark")


def samples_of(sound) -> np.ndarray:
    return heard(sound.sound.data)[0]


def library(folder, text, **options):
    """What transformers' own pipeline makes of it."""
    from transformers import pipeline

    speak = pipeline("text-to-audio", model=str(folder), **options)
    torch.manual_seed(7)
    return speak(text)


def test_bark_says_the_same_as_the_library(bark, bark_folder):
    [made] = bark.ask(Speak(text="hello there", seed=7))
    expected = library(bark_folder, "hello there")
    assert made.seconds == len(expected["audio"]) / expected["sampling_rate"]
    np.testing.assert_allclose(samples_of(made), np.clip(expected["audio"], -1, 1), atol=1e-4)
    assert bark.usage.prompt_tokens == len("hellothere")
    assert bark.usage.audio_ms == round(made.seconds * 1000)


def test_a_voice_preset_says_the_same_as_the_library(bark, bark_folder):
    from transformers import BarkModel, BarkProcessor

    parts = ("semantic_prompt", "coarse_prompt", "fine_prompt")
    files = {part: f"speaker_embeddings/v2/en_speaker_0_{part}.npy" for part in parts}
    index = {"repo_or_path": str(bark_folder), "v2/en_speaker_0": files}
    (bark_folder / "speaker_embeddings_path.json").write_text(json.dumps(index))
    inputs = BarkProcessor.from_pretrained(bark_folder)("hello", voice_preset="v2/en_speaker_0", max_length=64)
    inputs["history_prompt"] = {name: value.long() for name, value in inputs["history_prompt"].items()}
    model = BarkModel.from_pretrained(bark_folder)
    torch.manual_seed(7)
    expected = model.generate(**inputs)[0].numpy()
    for name in ("v2/en_speaker_0", "en_speaker_0", "alloy"):
        [made] = bark.ask(Speak(text="hello", voice=name, seed=7))
        np.testing.assert_allclose(samples_of(made), expected, atol=1e-4)
    [plain] = bark.ask(Speak(text="hello", seed=7))
    assert not np.allclose(samples_of(plain)[:1000], expected[:1000], atol=1e-3)


def test_one_seed_gives_the_same_bytes_in_any_company(bark):
    works = [Speak(text=text, seed=seed) for text, seed in (("hello", 1), ("hello", 2), ("good bye", 1))]
    together = bark.ask(*works)
    alone = [bark.ask(work)[0] for work in works]
    assert together == alone
    assert len({sound.sound.data for sound in together}) == 3


def test_a_long_text_is_said_sentence_by_sentence_in_one_voice(bark):
    text = "This is a sentence. " * 12
    bark.told.clear()
    [made] = bark.ask(Speak(text=text, seed=1, max_new_tokens=30))
    assert made.seconds > 1.5
    told = {event.done for _, event in bark.told if isinstance(event, Progress)}
    assert told <= set(range(5))
    assert bark.usage.prompt_tokens == len(text.replace(" ", ""))


def test_a_seed_of_the_gateway_may_be_any_of_64_bits(bark):
    assert bark.ask(Speak(text="a", seed=2**63 - 1, max_new_tokens=10))[0].seconds > 0


@pytest.mark.parametrize(
    ("work", "param", "words"),
    [
        (Speak(text="hello", voice="../../etc"), "voice", "v2/en_speaker_0"),
        (Speak(text="a" * 5000), "inputs", "4096"),
        (Speak(text=" \n "), "inputs", "empty"),
        (Speak(text="hello", max_new_tokens=5000), "max_new_tokens", "<= 60"),
    ],
)
def test_what_cannot_be_said_is_refused_by_name(bark, work, param, words):
    [failed] = bark.ask(work)
    assert (failed.kind, failed.param) == ("invalid_input", param)
    assert words in failed.message


def test_a_voice_file_that_is_a_pickle_is_never_opened(bark, bark_folder):
    folder = bark_folder / "speaker_embeddings" / "v2"
    evil = np.array([{"a": 1}], dtype=object)
    for part in ("semantic", "coarse", "fine"):
        np.save(folder / f"evil_{part}_prompt.npy", evil, allow_pickle=True)
        np.save(folder / f"loud_{part}_prompt.npy", np.full((8, 90), 10**9))
    studio = Studio(bark_folder, TTS, "bark")
    for name in ("v2/evil", "v2/loud"):
        [failed] = studio.ask(Speak(text="hello", voice=name))
        assert (failed.kind, failed.param) == ("invalid_input", "voice")
    for part in ("semantic", "coarse", "fine"):
        (folder / f"evil_{part}_prompt.npy").unlink()
        (folder / f"loud_{part}_prompt.npy").unlink()


def test_who_leaves_is_not_spoken_to(bark):
    bark.add(1, Speak(text="Many words. " * 100, seed=1))
    bark.left = frozenset({1})
    events = bark.run()
    bark.left = frozenset()
    assert [type(event) for event in events[1]] == [Finish, Done]
    assert events[1][-1].usage.audio_ms == 0


def test_vits_says_the_same_as_the_library_and_at_its_own_pace(tmp_path):
    folder = built(build_vits, tmp_path)
    studio = Studio(folder, TTS, "text-to-audio")
    [made] = studio.ask(Speak(text="hello there", seed=7, voice="alloy"))
    expected = library(folder, "hello there")
    np.testing.assert_allclose(samples_of(made), np.clip(expected["audio"], -1, 1), atol=1e-4)
    slow, none, unknown = studio.ask(
        Speak(text="hello there", seed=7, speed=0.5), Speak(text="§§§"), Speak(text="hello", voice="3")
    )
    assert slow.seconds > 1.5 * made.seconds
    assert (none.param, unknown.param) == ("inputs", "voice")


def test_a_vits_of_many_voices_numbers_them(tmp_path):
    studio = Studio(built(build_vits, tmp_path, 3), TTS, "text-to-audio")
    said = studio.ask(*(Speak(text="hello", seed=7, voice=voice) for voice in ("0", "2", "7")))
    assert said[0].sound.data != said[1].sound.data
    assert "It has 0, 1, 2." in said[2].message


def test_speecht5_says_the_same_as_the_library(tmp_path):
    from transformers import AutoTokenizer, SpeechT5ForTextToSpeech, SpeechT5HifiGan

    folder = built(build_speecht5_text, tmp_path)
    studio = Studio(folder, TTS, "text-to-audio")
    plain, ann = studio.ask(Speak(text="hello there", seed=7), Speak(text="hello there", seed=7, voice="ann"))
    voice = torch.from_numpy(np.load(folder / "speaker_embeddings/ann.npy", allow_pickle=False))[None]
    ids = AutoTokenizer.from_pretrained(folder)("hello there", return_tensors="pt")["input_ids"]
    model, vocoder = (
        SpeechT5ForTextToSpeech.from_pretrained(folder),
        SpeechT5HifiGan.from_pretrained(folder / "vocoder"),
    )
    torch.manual_seed(7)
    expected = model.generate_speech(ids, voice, vocoder=vocoder).numpy()
    np.testing.assert_allclose(samples_of(ann), expected, atol=1e-4)
    assert samples_of(plain).shape != expected.shape or not np.allclose(samples_of(plain), expected, atol=1e-4)


def test_musicgen_plays_the_same_as_the_library(tmp_path):
    from transformers import AutoTokenizer, MusicgenForConditionalGeneration

    folder = built(build_musicgen, tmp_path)
    studio = Studio(folder, Task.TEXT_TO_AUDIO, "text-to-audio")
    [made] = studio.ask(Speak(text="drums", seed=7, max_new_tokens=25))
    inputs = AutoTokenizer.from_pretrained(folder)(["drums"], return_tensors="pt", padding=True)
    model = MusicgenForConditionalGeneration.from_pretrained(folder)
    torch.manual_seed(7)
    expected = model.generate(**inputs, max_new_tokens=25)[0, 0].numpy()
    np.testing.assert_allclose(samples_of(made), np.clip(expected, -1, 1), atol=1e-4)
    assert studio.ask(Speak(text="drums", max_new_tokens=5000))[0].param == "max_new_tokens"


def test_sound_that_is_no_number_is_a_failure(tmp_path):
    folder = built(build_vits, tmp_path)
    studio = Studio(folder, TTS, "text-to-audio")
    model = studio.engine._model._speaker._model
    with torch.no_grad():
        model.decoder.conv_post.weight.fill_(float("nan"))
    [failed] = studio.ask(Speak(text="hello", seed=1))
    assert isinstance(failed, Failed)
    assert (failed.kind, "finite" in failed.message) == ("generation", True)


def test_a_model_that_does_not_speak_is_refused_at_load(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ValueError, match="does not speak"):
        Studio(tmp_path, TTS, "text-to-audio")
