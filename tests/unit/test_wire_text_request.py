"""Bodies of text generation: what is understood, what is refused, in which order and with which words."""

import pytest

from pronto.core.errors import InvalidInput
from pronto.core.request import Options, Sampling, TextPrompt
from pronto.wire.faults import Malformed
from pronto.wire.text_request import Bounds, Parameters, read_text
from tests.unit.wire_cases import HUB_OLD, JS, decode, with_parameters, work


def test_the_defaults() -> None:
    asked = work({"inputs": "Hello"})
    assert asked.prompt == TextPrompt("Hello")
    assert asked.max_new_tokens == 20
    assert asked.sampling == Sampling()
    assert (asked.choices, asked.stop, asked.logprobs, asked.keep_stop) == (1, (), False, True)


def test_unknown_keys_and_nulls_are_passed_over() -> None:
    nulls = dict.fromkeys(set(Parameters.__struct_fields__))
    body = {
        "inputs": "Hello",
        "model": "tgi",
        "stream": None,
        "options": None,
        "parameters": nulls | {"num_return_sequences": [1], "later": {}},
        "other": [1, {"a": None}],
    }
    assert work(body) == work({"inputs": "Hello"})


def test_the_body_of_an_old_hub_client() -> None:
    parameters = {"details": False, "do_sample": False, "return_full_text": False, "stop": []}
    assert work({"inputs": "Hello", "parameters": parameters, "stream": False}) == work({"inputs": "Hello"})


def test_nested_parameters_of_an_editor_count_where_the_outer_ones_are_silent() -> None:
    body = with_parameters(max_new_tokens=7, parameters={"return_full_text": False, "max_new_tokens": 9, "top_k": 3})
    call = decode(body)
    assert call.request.work.max_new_tokens == 7  # type: ignore[union-attr]  # a text generation
    assert call.request.work.sampling.top_k == 3  # type: ignore[union-attr]  # a text generation
    assert call.reply[1].prefix == ""


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"temperature": 0}, Sampling()),
        ({"temperature": 0, "do_sample": True, "top_k": 5, "seed": 3}, Sampling()),
        ({"temperature": 1.0, "top_p": 1, "typical_p": 1.0}, Sampling()),
        ({"seed": 3}, Sampling()),
        ({"do_sample": True}, Sampling(do_sample=True)),
        ({"do_sample": True, "seed": 3}, Sampling(do_sample=True, seed=3)),
        ({"temperature": 0.7}, Sampling(do_sample=True, temperature=0.7)),
        ({"do_sample": False, "top_p": 0.9}, Sampling(do_sample=True, top_p=0.9)),
        ({"top_k": 40}, Sampling(do_sample=True, top_k=40)),
        ({"typical_p": 0.95}, Sampling(do_sample=True, typical_p=0.95)),
        ({"min_p": 0.1}, Sampling(do_sample=True, min_p=0.1)),
        ({"repetition_penalty": 1.3}, Sampling(repetition_penalty=1.3)),
        ({"frequency_penalty": 0.5, "presence_penalty": -2}, Sampling(frequency_penalty=0.5, presence_penalty=-2.0)),
    ],
)
def test_how_sampling_is_switched(parameters: dict[str, object], expected: Sampling) -> None:
    assert work(with_parameters(**parameters)).sampling == expected


def test_both_names_of_stop_strings_work_together() -> None:
    assert work(with_parameters(stop=["a", ""], stop_sequences=["b", "a"])).stop == ("a", "b")


def test_best_of_samples_and_asks_for_logprobs() -> None:
    asked = work(with_parameters(best_of=2, do_sample=True))
    assert (asked.choices, asked.sampling.do_sample, asked.logprobs) == (2, True, True)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"best_of": 3, "do_sample": True}, "`best_of` must be > 0 and <= 2. Given: 3"),
        ({"best_of": 0}, "`best_of` must be > 0 and <= 2. Given: 0"),
        ({"best_of": 2}, "you must use sampling when `best_of` is > 1"),
        ({"best_of": 2, "temperature": 0}, "you must use sampling when `best_of` is > 1"),
        ({"best_of": 2, "do_sample": True, "seed": 1}, "`seed` must not be set when `best_of` > 1"),
        ({"temperature": -0.1}, "`temperature` must be strictly positive"),
        ({"temperature": 1e30}, "`temperature` must be <= 100.0"),
        ({"repetition_penalty": 0}, "`repetition_penalty` must be strictly positive"),
        ({"repetition_penalty": 1e-30}, "`repetition_penalty` must be >= 0.01 and <= 100.0"),
        ({"frequency_penalty": 2.1}, "`frequency_penalty` must be >= -2.0 and <= 2.0"),
        ({"presence_penalty": -2.1}, "`presence_penalty` must be >= -2.0 and <= 2.0"),
        ({"top_p": 0}, "`top_p` must be > 0.0 and < 1.0"),
        ({"top_p": 1.1}, "`top_p` must be > 0.0 and < 1.0"),
        ({"typical_p": -1}, "`typical_p` must be > 0.0 and < 1.0"),
        ({"min_p": 1}, "`min_p` must be >= 0.0 and < 1.0"),
        ({"top_k": 0}, "`top_k` must be strictly positive"),
        ({"top_k": 2**40}, "`top_k` must be <= 4294967295"),
        ({"max_new_tokens": 0}, "`max_new_tokens` must be strictly positive"),
        ({"max_new_tokens": 513}, "`max_new_tokens` must be <= 512. Given: 513"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "`stop` supports up to 4 stop sequences. Given: 5"),
        ({"stop": ["a" * 257]}, "`stop` strings may have up to 256 characters"),
        ({"seed": -1}, "`seed` must be >= 0 and <= 18446744073709551615. Given: -1"),
        ({"top_n_tokens": 6}, "`top_n_tokens` must be >= 0 and <= 5. Given: 6"),
        ({"truncate": 0}, "`truncate` must be strictly positive and less than 4294967295. Given: 0"),
        ({"grammar": {"type": "regex", "value": 1}}, "grammar is not valid: the value of a regex must be a string"),
        ({"grammar": {"type": "json", "value": {}}}, "grammar is not valid: Grammar must have a 'properties' field"),
        ({"grammar": {"type": "json", "value": "{"}}, "grammar is not valid: its value is not valid JSON"),
        ({"grammar": {"type": "xml", "value": ""}}, "grammar is not valid: its type must be one of json, json_object, "
         "json_schema, regex"),
    ],
)  # fmt: skip
def test_what_is_refused(parameters: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        work(with_parameters(**parameters))
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"best_of": 2, "do_sample": True}, "`best_of` != 1 is not supported when streaming tokens"),
        ({"decoder_input_details": True}, "`decoder_input_details` == true is not supported when streaming tokens"),
    ],
)
def test_what_a_stream_cannot_have(parameters: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        work(with_parameters(**parameters) | {"stream": True})
    assert caught.value.message == message


def test_the_first_failing_check_wins() -> None:
    wrong = Parameters(best_of=9, temperature=-1.0, top_p=7.0, max_new_tokens=0, top_n_tokens=99)
    seen = []
    for name in ("best_of", "temperature", "top_p", "max_new_tokens", "top_n_tokens"):
        with pytest.raises(InvalidInput) as caught:
            read_text("", wrong, Bounds(), streams=False)
        seen.append(caught.value.param)
        wrong = Parameters(**{field: getattr(wrong, field) for field in wrong.__struct_fields__ if field != name})
    assert seen == ["best_of", "temperature", "top_p", "max_new_tokens", "top_n_tokens"]
    with pytest.raises(InvalidInput, match="`inputs` cannot be empty"):
        read_text("", wrong, Bounds(), streams=False)


def test_one_choice_only_where_the_plan_says_so() -> None:
    with pytest.raises(InvalidInput, match="is not allowed for this endpoint"):
        read_text("a", Parameters(best_of=2, do_sample=True), Bounds(max_best_of=1), streams=False)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "Failed to parse the request body as JSON: the body is empty"),
        (b"{", "Failed to parse the request body as JSON: Input data was truncated"),
        (b"{}", "missing field `inputs`"),
        (b"[]", "expected an object, got a list"),
        (b'{"inputs":{}}', "inputs: expected a string or a list, got an object"),
        (b'{"inputs":["a",1]}', "inputs[1]: expected a string, got an integer"),
        (b'{"inputs":"a","parameters":{"top_k":"x"}}', "parameters.top_k: expected an integer, got a string"),
        (b'{"inputs":"a","parameters":{"stop":[1]}}', "parameters.stop[0]: expected a string, got an integer"),
        (b'{"inputs":"a","parameters":{"temperature":1e999}}', "parameters.temperature: number out of range"),
        (b'{"inputs":"a","parameters":{"grammar":{"type":"json"}}}', "missing field `value`"),
    ],
)
def test_what_cannot_be_read(body: bytes, message: str) -> None:
    with pytest.raises(Malformed) as caught:
        work(body)
    assert caught.value.message.endswith(message)


def test_plain_text_is_a_prompt() -> None:
    call = decode("Grüße".encode(), headers={"content-type": "text/plain; charset=utf-8"})
    assert call.request.work.prompt == TextPrompt("Grüße")  # type: ignore[union-attr]  # a text generation


def test_grammars() -> None:
    schema = {"properties": {"a": {"type": "string"}}}
    forms: list[dict[str, object]] = [
        {"type": "json", "value": schema},
        {"type": "json_object", "value": '{"properties": {"a": {"type": "string"}}}'},
        {"type": "json_schema", "value": {"name": "x", "schema": schema}},
    ]
    read = [work(with_parameters(grammar=form)).grammar for form in forms]
    assert read[0] is not None
    assert read[0] == read[1] == read[2]
    assert (read[0].kind, read[0].value) == ("json_schema", '{"properties":{"a":{"type":"string"}}}')


@pytest.mark.parametrize(
    ("headers", "options", "expected"),
    [
        ({}, {}, Options(cache_sampled=True)),
        ({"x-use-cache": "0"}, {"use_cache": True}, Options(use_cache=False, cache_sampled=True)),
        ({"x-use-cache": "False"}, {}, Options(use_cache=False, cache_sampled=True)),
        ({"x-use-cache": "1"}, {}, Options(use_cache=True, cache_sampled=True)),
        ({"x-use-cache": "perhaps"}, {"use_cache": False}, Options(use_cache=False, cache_sampled=True)),
        ({"x-wait-for-model": "1"}, {}, Options(wait_for_model=True, cache_sampled=True)),
        ({"x-wait-for-model": "false"}, {"wait_for_model": True}, Options(cache_sampled=True)),
        ({}, {"wait_for_model": True, "use_gpu": False}, Options(wait_for_model=True, cache_sampled=True)),
        ({"x-load-model": "0"}, {}, Options(load_model=False, cache_sampled=True)),
        ({}, {"dont_load_model": True}, Options(load_model=False, cache_sampled=True)),
        ({"user-agent": JS}, {}, Options(wait_for_model=True, cache_sampled=True)),
    ],
)
def test_options(headers: dict[str, str], options: dict[str, object], expected: Options) -> None:
    assert decode({"inputs": "a", "options": options}, headers=headers).request.options == expected


@pytest.mark.parametrize(
    ("route", "agent", "given", "expected"),
    [
        ("hf", "curl/8", None, True),
        ("hf", HUB_OLD, None, False),
        ("hf", HUB_OLD, True, True),
        ("hf", "curl/8", False, False),
        ("tgi-root", "curl/8", None, True),
        ("tgi-root", HUB_OLD, None, False),
        ("tgi-generate", "curl/8", None, False),
        ("tgi-generate", "curl/8", True, True),
        ("tgi-generate-stream", "curl/8", None, False),
    ],
)
def test_when_the_prompt_is_repeated(route: str, agent: str, given: bool | None, expected: bool) -> None:
    call = decode(with_parameters(return_full_text=given), route, {"user-agent": agent})
    style = call.reply[1] if route == "hf" else call.reply
    assert style.prefix == ("Hello" if expected else "")


@pytest.mark.parametrize(
    ("route", "stream", "streams", "is_list"),
    [
        ("hf", True, True, True),
        ("hf", False, False, True),
        ("tgi-root", True, True, True),
        ("tgi-root", None, False, True),
        ("tgi-generate", True, False, False),
        ("tgi-generate-stream", False, True, False),
    ],
)
def test_the_form_of_the_answer(route: str, stream: bool | None, streams: bool, is_list: bool) -> None:
    call = decode({"inputs": "a", "stream": stream}, route)
    style = call.reply[1] if route == "hf" else call.reply
    assert (style.streams, style.is_list) == (streams, is_list)
    assert call.request.work.logprobs is streams  # type: ignore[union-attr]  # a text generation
