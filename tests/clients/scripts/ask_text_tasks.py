"""huggingface_hub: every method of InferenceClient for a task of texts or tables, in the old version and the new."""

import asyncio
import warnings

import huggingface_hub
from huggingface_hub import AsyncInferenceClient, InferenceClient

from report import finish, found, note, note_async, token, url

old = huggingface_hub.__version__.startswith("0.")
found["version"] = huggingface_hub.__version__
warnings.simplefilter("ignore")
TABLE = {"City": ["Paris", "Berlin"], "People": ["100", "8"]}
ROWS = {"length": ["1.0", "5.0"], "width": ["5.0", "9.0"]}
SENTENCE = "My name is Anna and I am from Berlin."


def client(name, kind=InferenceClient):
    return kind(f"tiny/{name}" if old else f"{url}/models/tiny/{name}", token=token, timeout=60)


def plain(value):
    """What JSON can hold; objects of the client's own as their fields."""
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items() if each is not None}
    return plain(vars(value)) if hasattr(value, "__dict__") else value


def ask(name, call):
    note(name, lambda: plain(call()))


def newer(**parameters):
    """Parameters that the old version has no names for."""
    return {} if old else parameters


ask("text_classification", lambda: client("sentiment").text_classification("I like it"))
ask("text_classification_top", lambda: client("sentiment").text_classification("I like it", **newer(top_k=1)))
ask("token_classification", lambda: client("names").token_classification(SENTENCE))
ask(
    "token_classification_none",
    lambda: client("names").token_classification(SENTENCE, **newer(aggregation_strategy="none", ignore_labels=[])),
)
ask("question_answering", lambda: client("questions").question_answering(question="Who?", context=SENTENCE))
ask(
    "question_answering_several",
    lambda: client("questions").question_answering(question="Who?", context=SENTENCE, **newer(top_k=2)),
)
ask("table_question_answering", lambda: client("tables").table_question_answering(TABLE, "How many people?"))
labels = ["a city", "food"]
ask("zero_shot_classification", lambda: client("nli").zero_shot_classification(SENTENCE, labels))
ask(
    "zero_shot_classification_multi",
    lambda: client("nli").zero_shot_classification(
        SENTENCE, labels, multi_label=True, hypothesis_template="It is about {}."
    ),
)
ask("fill_mask", lambda: client("masks").fill_mask("The quick [MASK] fox."))
ask("fill_mask_targets", lambda: client("masks").fill_mask("The [MASK] fox.", **newer(targets=["dog"], top_k=3)))
ask("summarization", lambda: client("summary").summarization(SENTENCE))
ask(
    "summarization_parameters",
    lambda: client("summary").summarization(
        SENTENCE,
        **({"parameters": {"max_length": 9}} if old else {"generate_parameters": {"max_length": 9}}),
    ),
)
languages = {"src_lang": "en", "tgt_lang": "fr"}
ask("translation", lambda: client("translation").translation("The dog.", **languages))
ask("translation_without", lambda: client("translation").translation("The dog."))
ask("tabular_classification", lambda: client("classes").tabular_classification(ROWS))
if old:
    ask("tabular_regression", lambda: client("numbers").tabular_regression(ROWS))
    ask("conversational", lambda: client("talk").conversational("Hello", parameters={"max_new_tokens": 5}))
    ask(
        "conversational_more",
        lambda: client("talk").conversational(
            "And?", generated_responses=["b"], past_user_inputs=["a"], parameters={"max_new_tokens": 5}
        ),
    )
ask("text_generation", lambda: client("text2text").text_generation("Hello", max_new_tokens=5))
ask("wrong_task", lambda: client("sentiment").fill_mask({"a": "b"}))
ask("no_mask", lambda: client("masks").fill_mask("nothing is missing"))
ask("too_long", lambda: client("sentiment").text_classification("a " * 500))


async def later():
    await note_async("async", lambda: _later(client("sentiment", AsyncInferenceClient)))


async def _later(one):
    return plain(await one.text_classification("I like it"))


asyncio.run(later())
finish()
