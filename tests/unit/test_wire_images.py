"""Requests for images as clients send them, and answers as they are written; nothing runs a model here."""

import base64
import json

import httpx
import pytest

from pronto.core.errors import InvalidInput
from pronto.core.events import Done, Output, Progress, Started, Usage, Waiting
from pronto.core.image_work import Images, MakeImage
from pronto.core.media import MadeMedia
from pronto.core.schedulers import SCHEDULERS, find_scheduler
from pronto.core.tasks import Task
from pronto.wire.base import Call, Raw
from pronto.wire.hf.dialect import HfDialect
from pronto.wire.image_request import ImageBounds, read_accept
from pronto.wire.openai.images import ImagesDialect
from pronto.wire.text_request import Bounds

PNG = b"\x89PNG\r\n\x1a\n" + b"p" * 80
B64 = base64.b64encode(PNG).decode()
HF = HfDialect(Bounds())
OPENAI = ImagesDialect(ImageBounds())
IMAGES = Images((MadeMedia(data=b"one", type="image/png"), MadeMedia(data=b"two", type="image/png")), 7)


def raw(body: object, task: Task = Task.TEXT_TO_IMAGE, route: str = "hf", **headers: str) -> Raw:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return Raw(request_id="r", route=route, task=task, model="a/b", is_named=True, headers=headers, body=data, now=9)


def hf(body: object, task: Task = Task.TEXT_TO_IMAGE, **headers: str) -> MakeImage:
    work = HF.decode(raw(body, task, **headers)).request.work
    assert isinstance(work, MakeImage)
    return work


def openai(body: object, route: str = "openai-images", **headers: str) -> Call:
    task = Task.TEXT_TO_IMAGE if route == "openai-images" else Task.IMAGE_TO_IMAGE
    return OPENAI.decode(raw(body, task, route, **headers))


def form(route: str = "openai-image-edits", files: object = None, **fields: str) -> Call:
    files = [("image", ("a.png", PNG, "image/png"))] if files is None else files
    request = httpx.Request("POST", "http://x", data=fields, files=files)
    return openai(request.read(), route, content_type=request.headers["content-type"])


@pytest.mark.parametrize(
    ("accept", "format", "streams"),
    [
        ("", "image/jpeg", False),
        ("*/*", "image/jpeg", False),
        ("application/json", "image/jpeg", False),
        ("image/png", "image/png", False),
        ("image/*;q=0.9, image/webp", "image/webp", False),
        ("image/png;q=0.2, image/jpg;q=0.8", "image/jpeg", False),
        ("image/webp;q=0", "image/jpeg", False),
        ("Text/Event-Stream", "image/jpeg", True),
        ("text/event-stream, image/png", "image/png", True),
        (",;q=,;;image/png;q=x" + "," * 99, "image/jpeg", False),
    ],
)
def test_accept(accept: str, format: str, streams: bool) -> None:
    wanted = read_accept(accept)
    assert (wanted.format, wanted.streams) == (format, streams)


def test_all_parameters_are_read_and_nulls_and_unknown_ones_passed_over() -> None:
    parameters = {
        "negative_prompt": "blurry",
        "guidance_scale": 5,
        "width": 512,
        "height": None,
        "num_inference_steps": 20,
        "seed": 0,
        "scheduler": "DPM++ 2M Karras",
        "lora": "me/style",
        "eta": 1,
    }
    work = hf({"inputs": "a cat", "parameters": parameters, "model": "x"}, accept="image/png")
    assert work == MakeImage(
        prompt="a cat",
        negative_prompt="blurry",
        guidance_scale=5.0,
        width=512,
        steps=20,
        seed=0,
        scheduler="dpm++_2m_karras",
        adapter="me/style",
        format="image/png",
    )
    assert hf({"inputs": "a cat", "parameters": None}) == MakeImage(prompt="a cat")
    assert hf(b"a cat", content_type="text/plain") == MakeImage(prompt="a cat")


@pytest.mark.parametrize("task", [Task.TEXT_TO_IMAGE, Task.IMAGE_TO_IMAGE])
def test_an_image_is_known_wherever_clients_put_it(task: Task) -> None:
    """Clients post to the address of a model, whose task is to make images from text."""
    for body in (PNG, {"inputs": B64}, {"inputs": f"data:image/png;base64,{B64}"}, {"image": B64}):
        work = hf(body, task)
        assert work.image is not None
        assert (work.image.data, work.prompt) == (PNG, "")
    size = {"width": 64, "height": 128}
    work = hf({"inputs": B64, "parameters": {"prompt": "a dog", "target_size": size, "strength": 1}}, task)
    assert (work.prompt, work.width, work.height, work.strength) == ("a dog", 64, 128, 1.0)
    assert hf({"image": B64, "inputs": "a dog", "parameters": {"mask_image": B64}}, task).mask is not None


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"width": 100}, "width"),
        ({"width": 0}, "width"),
        ({"height": -64}, "height"),
        ({"height": 8192}, "height"),
        ({"width": 512.5}, "parameters.width"),
        ({"num_inference_steps": 0}, "num_inference_steps"),
        ({"num_inference_steps": -1}, "num_inference_steps"),
        ({"num_inference_steps": 100000}, "num_inference_steps"),
        ({"num_inference_steps": 150, "width": 2048, "height": 2048}, "num_inference_steps"),
        ({"guidance_scale": -1}, "guidance_scale"),
        ({"guidance_scale": 1e9}, "guidance_scale"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**70}, "seed"),
        ({"strength": 0}, "strength"),
        ({"strength": 1.5}, "strength"),
        ({"scheduler": "__import__"}, "scheduler"),
        ({"scheduler": "DiffusionPipeline"}, "scheduler"),
        ({"num_images_per_prompt": 2}, "num_images_per_prompt"),
        ({"num_images_per_prompt": 0}, "num_images_per_prompt"),
        ({"target_size": {"width": 64}, "width": 128}, "width"),
        ({"output_format": "gif"}, "output_format"),
        ({"negative_prompt": 3}, "parameters.negative_prompt"),
        ({"negative_prompt": "x" * 40_000}, "negative_prompt"),
    ],
)
def test_a_wrong_parameter_is_named(parameters: dict, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        hf({"inputs": "a cat", "parameters": parameters})
    assert caught.value.param == field
    assert field.split(".")[-1] in caught.value.message


@pytest.mark.parametrize(
    ("body", "task"),
    [
        (b"", Task.TEXT_TO_IMAGE),
        (b"\xff\xfe", Task.TEXT_TO_IMAGE),
        ({"inputs": ""}, Task.TEXT_TO_IMAGE),
        ({"inputs": " "}, Task.TEXT_TO_IMAGE),
        ({"inputs": ["a"]}, Task.TEXT_TO_IMAGE),
        ({"inputs": "x" * 40_000}, Task.TEXT_TO_IMAGE),
        ({"inputs": "a\x00"}, Task.TEXT_TO_IMAGE),
        ({}, Task.IMAGE_TO_IMAGE),
        ({"inputs": "no base64!"}, Task.IMAGE_TO_IMAGE),
    ],
)
def test_a_wrong_body_is_refused(body: object, task: Task) -> None:
    with pytest.raises(InvalidInput):
        hf(body, task)


@pytest.mark.parametrize(
    "name", ["Euler a", "euler-ancestral", "EulerAncestralDiscreteScheduler", "eulerancestraldiscrete"]
)
def test_a_scheduler_has_several_spellings(name: str) -> None:
    found = find_scheduler(name)
    assert found is not None
    assert SCHEDULERS[found].name == "EulerAncestralDiscreteScheduler"


def test_the_answer_is_the_image_with_its_seed() -> None:
    encoder = HF.encoder(HF.decode(raw({"inputs": "a cat"}, accept="image/png")))
    assert not encoder.streams
    assert encoder.feed(Started("rev", "diffusers", "cpu")) == encoder.feed(Progress(1, 2)) == b""
    encoder.feed(Output(IMAGES))
    assert encoder.feed(Done(Usage(3, 0, 1))) == b"one"
    headers = dict(encoder.headers)
    assert (headers[b"content-type"], headers[b"x-seed"], headers[b"x-compute-characters"]) == (
        b"image/png",
        b"7",
        b"5",
    )


def test_a_stream_tells_of_its_steps_and_ends_with_the_images() -> None:
    call = HF.decode(raw({"inputs": "a cat", "parameters": {"num_images_per_prompt": 2}}, accept="text/event-stream"))
    encoder = HF.encoder(call)
    assert encoder.streams
    assert encoder.feed(Waiting("queue", 1, 3.0)).startswith(b": ")
    assert encoder.feed(Started("rev", "diffusers", "cpu")) == b""
    assert dict(encoder.headers)[b"content-type"] == b"text/event-stream"
    assert encoder.feed(Progress(1, 4)) == b'data: {"type":"progress","step":1,"steps":4}\n\n'
    assert encoder.feed(Output(IMAGES)) == b""
    one, two = encoder.feed(Done()).decode().strip().split("\n\n")
    assert json.loads(one[6:]) == {"type": "image", "index": 0, "media_type": "image/png", "image": "b25l", "seed": 7}
    assert json.loads(two[6:])["seed"] == 8
    assert json.loads(encoder.fail(InvalidInput("no"))[6:])["error_type"] == "validation"


def test_openai_s_generations() -> None:
    call = openai({"prompt": "a cat", "n": 2, "size": "512x256", "quality": "hd", "style": "vivid", "user": "u"})
    assert call.request.work == MakeImage(
        prompt="a cat", width=512, height=256, count=2, format="image/png", is_mask_clear=True
    )
    encoder = OPENAI.encoder(call)
    for event in (Started("rev", "diffusers", "cpu"), Progress(1, 2), Output(IMAGES)):
        assert encoder.feed(event) == b""
    answer = json.loads(encoder.feed(Done(Usage(3, 0, 2))))
    assert answer["data"] == [{"b64_json": "b25l"}, {"b64_json": "dHdv"}]
    assert (answer["created"], answer["output_format"], answer["size"]) == (9, "png", "512x256")
    assert (
        answer["usage"]
        == {
            "input_tokens": 3,
            "output_tokens": 0,
            "total_tokens": 3,
            "input_tokens_details": {"text_tokens": 3, "image_tokens": 0},
        }
        or answer["usage"]["input_tokens"] == 3
    )


def test_openai_s_stream() -> None:
    call = openai({"prompt": "a cat", "stream": True, "partial_images": 2, "size": "auto", "output_format": "webp"})
    encoder = OPENAI.encoder(call)
    encoder.feed(Started("rev", "diffusers", "cpu"))
    assert encoder.feed(Progress(1, 2)) == b": step 1 of 2\n\n"
    encoder.feed(Output(Images((MadeMedia(data=b"one", type="image/webp"),), 7)))
    head, frame = encoder.feed(Done(Usage(3, 0, 1))).decode().strip().split("\n")
    assert head == "event: image_generation.completed"
    event = json.loads(frame[6:])
    assert (event["type"], event["b64_json"], event["output_format"]) == (head[7:], "b25l", "webp")


def test_openai_s_edits_and_variations() -> None:
    mask = ("mask", ("m.png", PNG, "image/png"))
    call = form(files=[("image[]", ("a.png", PNG, "image/png")), mask], prompt="a dog", n="2", size="64x64", seed="3")
    work = call.request.work
    assert isinstance(work, MakeImage)
    assert work.image is not None
    assert work.mask is not None
    assert (work.count, work.width, work.seed, work.is_mask_clear) == (2, 64, 3, True)
    assert form("openai-image-variations").request.work.prompt == ""  # type: ignore[union-attr]  # as above


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": "a", "size": "big"}, "size"),
        ({"prompt": "a", "size": "100x100"}, "size"),
        ({"prompt": "a", "n": 0}, "n"),
        ({"prompt": "a", "n": 5}, "n"),
        ({"prompt": "a", "n": 2.5}, "n"),
        ({"prompt": "a", "response_format": "url"}, "response_format"),
        ({"prompt": "a", "background": "transparent"}, "background"),
        ({"prompt": "a", "output_format": "svg"}, "output_format"),
    ],
)
def test_openai_s_wrong_fields_are_400_with_their_name(body: dict, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        openai(body)
    response = OPENAI.encode_error(caught.value, {})
    error = json.loads(response.body)["error"]
    assert (response.status, error["param"]) == (400, field)
    assert error["type"] == "validation"


@pytest.mark.parametrize(
    ("files", "fields", "field"),
    [
        ([("mask", ("m.png", PNG))], {"prompt": "a"}, "image"),
        ([("image", ("a.png", PNG)), ("image", ("b.png", PNG))], {"prompt": "a"}, "image"),
        ([("image", ("a.png", b""))], {"prompt": "a"}, "image"),
        ([("image", ("a.png", PNG))], {}, "prompt"),
        ([("image", ("a.png", PNG))], {"prompt": "a", "n": "many"}, "n"),
        ([("image", ("a.png", PNG))], {"prompt": "a", "seed": "-1"}, "seed"),
    ],
)
def test_openai_s_wrong_forms_name_the_field(files: list, fields: dict, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        form(files=files, **fields)
    assert caught.value.param == field


def test_openai_s_edits_need_a_form() -> None:
    with pytest.raises(InvalidInput, match="multipart"):
        openai({"prompt": "a"}, "openai-image-edits")
