"""Completions as they come, to what is asked."""

import pytest

from pronto.core.errors import InvalidInput
from pronto.core.request import InfillPrompt, TextGeneration, TextPrompt, TokenPrompt
from tests.unit.openai_cases import complete, work


@pytest.mark.parametrize(
    ("given", "prompts"),
    [
        ("a", [TextPrompt("a")]),
        (["a"], [TextPrompt("a")]),
        (["a", "b"], [TextPrompt("a"), TextPrompt("b")]),
        ([1, 2], [TokenPrompt([1, 2])]),
        ([[1], [2, 3]], [TokenPrompt([1]), TokenPrompt([2, 3])]),
    ],
)
def test_prompts(given: object, prompts: list[object]) -> None:
    call = complete(prompt=given, max_tokens=7)
    works = [request.work for request in (call.request, *call.more)]
    assert [one.prompt for one in works if isinstance(one, TextGeneration)] == prompts
    assert all(isinstance(one, TextGeneration) and one.max_new_tokens == 7 for one in works)
    assert call.reply.prompts == len(prompts)


def test_infill() -> None:
    assert work(complete(suffix=" end")).prompt == InfillPrompt(prefix="Hello", suffix=" end")
    assert work(complete(suffix="")).prompt == TextPrompt("Hello")


def test_the_best_of_several() -> None:
    call = complete(n=1, best_of=2)
    assert (work(call).choices, work(call).logprobs) == (2, True)
    assert (call.reply.choices, call.reply.best_of) == (1, 2)


def test_parameters_of_hugging_face() -> None:
    call = complete(max_new_tokens=9, return_full_text=True, top_k=5)
    assert (work(call).max_new_tokens, work(call).sampling.top_k) == (9, 5)
    assert call.reply.prefixes == ("Hello",)


@pytest.mark.parametrize("logprobs", [0, True])
def test_logprobs(logprobs: object) -> None:
    call = complete(logprobs=logprobs)
    assert (work(call).logprobs, work(call).top_logprobs, call.reply.logprobs) == (True, 0, 0)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [""]}, "prompt"),
        ({"prompt": [[]]}, "prompt"),
        ({"prompt": ["a", 1]}, "prompt"),
        ({"prompt": [-1]}, "prompt"),
        ({"prompt": [2**31]}, "prompt"),
        ({"prompt": ["a"] * 5}, "prompt"),
        ({"prompt": 3}, "prompt"),
        ({"prompt": [1, 2], "suffix": "x"}, "suffix"),
        ({"prompt": [1, 2], "echo": True}, "echo"),
        ({"echo": True, "logprobs": 0}, "echo"),
        ({"best_of": 1, "n": 2}, "best_of"),
        ({"best_of": 2, "stream": True}, "best_of"),
        ({"logprobs": 6}, "logprobs"),
        ({"max_tokens": -1}, "max_tokens"),
    ],
)
def test_refusals_name_the_field(fields: dict[str, object], param: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        complete(**fields)
    assert caught.value.param == param
