"""openai: images made, changed, streamed and refused. Arguments: the server's URL, a token, the id of the model."""

import base64
import io
import sys

import openai

from report import chat as model
from report import finish, found, note, token, url

PICTURE = base64.b64decode(sys.argv[5])
MASK = base64.b64decode(sys.argv[6])
found["version"] = openai.__version__
client = openai.OpenAI(base_url=f"{url}/v1", api_key=token, max_retries=0, timeout=100)
strict = openai.OpenAI(
    base_url=f"{url}/v1", api_key=token, max_retries=0, timeout=100, _strict_response_validation=True
)
FEW = {"extra_body": {"num_inference_steps": 2, "seed": 5}}


def file(data, name="picture.png"):
    stream = io.BytesIO(data)
    stream.name = name
    return stream


def shown(answer):
    return [answer.created > 0, [each.b64_json for each in answer.data]]


def streamed(events):
    return [[event.type, event.b64_json] for event in events]


generate = {"model": model, "prompt": "a cat", "size": "64x64", **FEW}
edit = {"model": model, "prompt": "a dog", "size": "64x64", "extra_body": {"num_inference_steps": 2, "strength": 1.0}}
note("plain", lambda: shown(client.images.generate(**generate, n=2, quality="low", user="me")))
note("strict", lambda: shown(strict.images.generate(**generate, output_format="jpeg", response_format="b64_json")))
note("stream", lambda: streamed(client.images.generate(**generate, stream=True, partial_images=1)))
note("edit", lambda: shown(client.images.edit(image=file(PICTURE), mask=file(MASK), **edit)))
note("edit_list", lambda: shown(client.images.edit(image=[file(PICTURE)], **edit)))
note("edit_several", lambda: shown(client.images.edit(image=[file(PICTURE), file(PICTURE)], **edit)))
note("variation", lambda: shown(client.images.create_variation(image=file(PICTURE), model=model, size="64x64")))
note("bad_size", lambda: client.images.generate(model=model, prompt="a cat", size="100x100"))
note("bad_url", lambda: client.images.generate(model=model, prompt="a cat", response_format="url"))
note("bad_image", lambda: client.images.edit(image=file(b"none"), **edit))
finish()
