"""All methods of huggingface_hub's InferenceClient that read images. `PRONTO_IMAGE` is the path of a PNG."""

import base64
import os

import huggingface_hub
from huggingface_hub import InferenceClient

from report import finish, note, token, url

IS_OLD = huggingface_hub.__version__.startswith("0.")
path = os.environ["PRONTO_IMAGE"]
with open(path, "rb") as file:
    image = file.read()
WORDS = [[word, [60 * at, 10, 60 * at + 50, 30]] for at, word in enumerate(["invoice", "date", "total"])]


def client(name: str) -> InferenceClient:
    return InferenceClient(model=f"{url}/models/tiny/{name}", token=token, headers={"x-wait-for-model": "1"})


def plain(value: object) -> object:
    """What a client returns, as JSON can say it: pictures by their mode and size."""
    if isinstance(value, list):
        return [plain(each) for each in value]
    if hasattr(value, "mode") and hasattr(value, "size"):
        return [value.mode, list(value.size)]
    if hasattr(value, "__dict__") and not isinstance(value, str):
        return {name: plain(each) for name, each in vars(value).items() if each is not None}
    return value


def ask(name: str, call: object) -> None:
    note(name, lambda: plain(call()))


ask("classification", lambda: client("vit").image_classification(image))
ask("classification of a file", lambda: client("vit").image_classification(path))
ask("detection", lambda: client("detr").object_detection(image))
ask("segmentation", lambda: client("segformer").image_segmentation(image))
ask("instances", lambda: client("maskformer").image_segmentation(image))
ask("caption", lambda: client("vit_gpt2").image_to_text(image))
ask("question", lambda: client("vilt").visual_question_answering(image, "what is this"))
ask("question, written", lambda: client("blip_vqa").visual_question_answering(image, "what is this"))
ask("page", lambda: client("donut").document_question_answering(image, "the total?"))
ask("page without its words", lambda: client("layoutlm").document_question_answering(image, "the total?"))
ask("no image", lambda: client("vit").image_classification(b"Hello"))


def _labels(name: str) -> object:
    labels = ["cat", "a dog"]
    if IS_OLD:
        return client(name).zero_shot_image_classification(image, labels=labels)
    return client(name).zero_shot_image_classification(image, candidate_labels=labels)


ask("labels", lambda: _labels("clip"))
if not IS_OLD:
    ask("two labels", lambda: client("vit").image_classification(image, top_k=2))
    ask("all objects", lambda: client("detr").object_detection(image, threshold=0.1))
    ask("kind of segments", lambda: client("maskformer").image_segmentation(image, subtask="semantic"))
    ask("labels in a sentence", lambda: client("clip").zero_shot_image_classification(
        image, candidate_labels=["cat", "a dog"], hypothesis_template="see: {}"
    ))  # fmt: skip
    ask("one answer", lambda: client("vilt").visual_question_answering(image, "what is this", top_k=1))
    ask("page with its words", lambda: client("layoutlm").document_question_answering(
        image, "the total?", word_boxes=WORDS, top_k=2
    ))  # fmt: skip
ask("chat", lambda: client("qwen2_vl").chat_completion(
    [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(image).decode()}"}},
        {"type": "text", "text": "what is this?"},
    ]}],
    max_tokens=6,
    temperature=0.0,
).choices[0].message.content)  # fmt: skip
finish()
