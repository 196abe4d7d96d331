"""huggingface_hub: images made, changed, and refused. Arguments: the server's URL, a token, the id of the model."""

import asyncio
import io

import huggingface_hub
from huggingface_hub import AsyncInferenceClient, InferenceClient
from PIL import Image

from report import chat as model
from report import finish, found, note, token, url

old = huggingface_hub.__version__.startswith("0.")
found["version"] = huggingface_hub.__version__
# 0.24 is told the server by HF_INFERENCE_ENDPOINT, newer versions by a URL.
name = model if old else f"{url}/models/{model}"
client = InferenceClient(name, token=token, timeout=100)
SMALL = {"num_inference_steps": 2, "width": 64, "height": 64}


def shown(image):
    return [type(image).__module__, image.format, image.width, image.height]


def picture():
    out = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(out, "PNG")
    return out.getvalue()


async def made_by_the_asynchronous_one():
    return shown(await AsyncInferenceClient(name, token=token, timeout=100).text_to_image("a cat", **SMALL))


more = {"negative_prompt": "blurry", "guidance_scale": 3.0}
note("plain", lambda: shown(client.text_to_image("an astronaut", **SMALL)))
note("all", lambda: shown(client.text_to_image("an astronaut", **more, **SMALL, seed=5, scheduler="ddim")))
note("asynchronous", lambda: asyncio.run(made_by_the_asynchronous_one()))
same = [client.text_to_image("an astronaut", **SMALL, seed=seed).tobytes() for seed in (7, 7, 8)]
found["same"] = [same[0] == same[1], same[0] == same[2]]
note("changed_bytes", lambda: shown(client.image_to_image(picture())))
note("changed", lambda: shown(client.image_to_image(picture(), prompt="a dog", num_inference_steps=4, strength=0.5)))
if not old:
    size = {"width": 128, "height": 72}
    note("target_size", lambda: shown(client.image_to_image(picture(), prompt="a dog", target_size=size)))
note("bad_size", lambda: client.text_to_image("a cat", width=100))
note("bad_scheduler", lambda: client.text_to_image("a cat", scheduler="nonsense"))
note("bad_image", lambda: client.image_to_image(b"\x89PNG no image"))
finish()
