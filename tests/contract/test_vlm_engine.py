"""The engine that chats about images, against transformers' own `generate`, alone and beside others."""

import io

import pytest
from PIL import Image

from pronto.core.events import Done, Finish, FinishReason, Token, Usage
from pronto.core.model import Model, Source
from pronto.core.request import InferenceRequest, Sampling, TextGeneration, TextPrompt, TokenPrompt
from pronto.core.tasks import Task
from pronto.engines.base import Device, Failed
from pronto.engines.transformers_vlm import VlmEngine
from pronto.wire.media import media_of
from tests.tiny_vision import picture
from tests.tiny_vlm import build

NAMES = ("qwen2_vl", "llava", "smolvlm")


class Scene:
    """One loaded engine, and the library beside it."""

    def __init__(self, folder) -> None:
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self.processor = AutoProcessor.from_pretrained(folder)
        self.model = AutoModelForImageTextToText.from_pretrained(folder).eval()
        self.engine = VlmEngine()
        source = Source(folder="x")
        entry = Model(
            id="a/b", task=Task.IMAGE_TEXT_TO_TEXT, engine="x", source=source, revision="r", folder=str(folder)
        )
        self.capabilities = self.engine.load(entry, Device(threads=1), lambda _: frozenset())
        self._next = 0

    def prompt(self, images: int, text: str) -> str:
        content = [*[{"type": "image"}] * images, {"type": "text", "text": text}]
        return self.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)

    def work(self, *seeds: int, text: str = "what is this?", new: int = 8, **more) -> TextGeneration:
        images = tuple(media_of(picture(seed)) for seed in seeds)
        prompt = TextPrompt(self.prompt(len(seeds), text))
        return TextGeneration(prompt=prompt, images=images, max_new_tokens=new, **more)

    def start(self, *works: TextGeneration) -> list[int]:
        ids = []
        for work in works:
            self._next += 1
            request = InferenceRequest(id=f"r{self._next}", model="a/b", task=Task.TEXT_GENERATION, work=work)
            self.engine.add(self._next, request)
            ids.append(self._next)
        return ids

    def run(self, *works: TextGeneration) -> list[list]:
        ids = self.start(*works)
        events: dict[int, list] = {id: [] for id in ids}
        while any(self.engine.stats().__getattribute__(name) for name in ("running", "waiting")):
            for id, event in self.engine.step():
                events[id].append(event)
        return [events[id] for id in ids]

    def expected(self, work: TextGeneration) -> list[int]:
        import torch

        images = [Image.open(io.BytesIO(media.data)).convert("RGB") for media in work.images]
        bos = self.processor.tokenizer.bos_token
        more = {"add_special_tokens": False} if work.prompt.text.startswith(bos) else {}
        inputs = self.processor(text=[work.prompt.text], images=images or None, return_tensors="pt", **more)
        with torch.inference_mode():
            made = self.model.generate(**inputs, max_new_tokens=work.max_new_tokens, do_sample=False)
        return made[0, inputs["input_ids"].shape[1] :].tolist()


def ids(events: list) -> list[int]:
    return [event.id for event in events if isinstance(event, Token)]


@pytest.fixture(scope="module", params=NAMES)
def scene(request, tmp_path_factory):
    return Scene(build(request.param, tmp_path_factory.mktemp("vlm") / request.param))


@pytest.fixture(scope="module")
def qwen(tmp_path_factory):
    return Scene(build("qwen2_vl", tmp_path_factory.mktemp("vlm") / "qwen2_vl"))


def test_tokens_are_those_of_the_library_alone_and_beside_others(scene):
    works = [scene.work(seed) for seed in (1, 2, 3)] + [scene.work(4, 5), scene.work(text="no image here")]
    expected = [scene.expected(work) for work in works]
    alone = [ids(scene.run(work)[0]) for work in works]
    assert alone == expected
    assert [ids(events) for events in scene.run(*works)] == expected
    assert len({tuple(row) for row in expected[:3]}) > 1  # the model sees


def test_each_token_comes_by_itself(qwen):
    qwen.start(qwen.work(1, new=6))
    steps = []
    while qwen.engine.stats().running or qwen.engine.stats().waiting:
        steps.append([type(event) for _, event in qwen.engine.step()])
    assert [kinds.count(Token) for kinds in steps] == [1] * 6
    assert steps[-1] == [Token, Finish, Done]


def test_what_was_read_and_made_is_told_at_the_end(qwen):
    *_, finish, done = qwen.run(qwen.work(1, 2, new=5))[0]
    assert finish == Finish(0, FinishReason.LENGTH)
    assert done.usage == Usage(40 + 8, 5, images=2)


def test_sampling_follows_the_seed_whoever_else_is_served(qwen):
    def work(seed: int) -> TextGeneration:
        return qwen.work(1, sampling=Sampling(do_sample=True, seed=seed, temperature=2.0))

    first = ids(qwen.run(work(1))[0])
    together = [ids(events) for events in qwen.run(work(2), work(1), work(1), qwen.work(3))]
    assert together[1] == together[2] == first
    assert together[0] != first
    two = qwen.run(qwen.work(1, choices=2, sampling=Sampling(do_sample=True, seed=1, temperature=2.0)))[0]
    assert [token.id for token in two if isinstance(token, Token) and token.choice == 0] == first
    assert [token.id for token in two if isinstance(token, Token) and token.choice == 1] == together[0]


def test_penalties_and_logprobs(qwen):
    plain = ids(qwen.run(qwen.work(1, new=16))[0])
    assert len(set(plain)) < 16
    punished = ids(qwen.run(qwen.work(1, new=16, sampling=Sampling(presence_penalty=2.0, frequency_penalty=2.0)))[0])
    assert len(set(punished)) >= len(set(plain))
    told = qwen.run(qwen.work(1, logprobs=True))[0]
    assert all(token.logprob < 0 for token in told if isinstance(token, Token))
    assert all(token.logprob is None for token in qwen.run(qwen.work(1))[0] if isinstance(token, Token))


def test_a_cancelled_answer_ends_and_leaves_no_thread(qwen):
    import threading

    before = threading.active_count()
    stopped, other = qwen.start(qwen.work(1, new=50), qwen.work(2, new=3))
    qwen.engine.step()
    qwen.engine.step()
    qwen.engine.cancel(stopped)
    events = []
    while qwen.engine.stats().running:
        events += qwen.engine.step()
    ends = [event for id, event in events if id == stopped]
    assert [type(event) for event in ends] == [Finish, Done]
    assert ends[0].reason is FinishReason.CANCELLED
    assert any(isinstance(event, Done) for id, event in events if id == other)
    assert threading.active_count() == before


def test_a_stop_string_ends_an_answer(qwen):
    text = "".join(event.text for event in qwen.run(qwen.work(1, new=8))[0] if isinstance(event, Token))
    assert len(text) > 3
    *_, finish, _ = qwen.run(qwen.work(1, new=8, stop=(text[2],)))[0]
    assert (finish.reason, finish.stop) == (FinishReason.STOP, text[2])


def test_bad_requests_end_alone(qwen):
    good = qwen.work(1, new=2)
    cut = media_of(picture(1, (300, 300))[:200])
    broken = TextGeneration(prompt=good.prompt, images=(cut,), max_new_tokens=2)
    marks = qwen.work(1, text="<|image_pad|>" * 3, new=2)
    long = qwen.work(1, text="a" * 2000, new=2)
    bare = TextGeneration(prompt=TokenPrompt([7, 8, 9]), images=good.images, max_new_tokens=2)
    results = qwen.run(broken, good, marks, long, bare)
    assert [type(events[-1]) for events in results] == [Failed, Done, Failed, Failed, Failed]
    assert {events[-1].kind for events in results if isinstance(events[-1], Failed)} == {"invalid_input"}


def test_a_prompt_of_tokens_is_continued(qwen):
    events = qwen.run(TextGeneration(prompt=TokenPrompt([50, 60, 70]), max_new_tokens=4))[0]
    assert len(ids(events)) == 4
    assert events[-1].usage == Usage(3, 4)
