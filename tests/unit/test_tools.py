"""Tools as they are offered: styles by template, choices, bad ones, and grammars that force a call."""

import json

import pytest

from pronto.core.errors import InvalidInput
from pronto.core.request import ChatPrompt, Message, Sampling, Tool
from pronto.engines.text import tools
from pronto.engines.text.sampling import with_defaults

USER = (Message(role="user", content="Hi"),)
ADD = Tool(name="add", parameters='{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}')
NOW = Tool(name="now", description="The time.")


def chat(*given, **more):
    return ChatPrompt(messages=USER, tools=given, **more)


def nested(depth):
    return '{"a":' * depth + "{}" + "}" * depth


@pytest.mark.parametrize(
    ("template", "style"),
    [
        ("{{ '[AVAILABLE_TOOLS]' }}{{ '[TOOL_CALLS] [' }}", "mistral"),
        ("<tools></tools><tool_call>", "hermes"),
        ("""Respond in the format {"name": function name, "parameters": dictionary}""", "llama3"),
        ("{{ '<|python_tag|>' }}", "llama3"),
        ("{{ tools }}", "json"),
    ],
)
def test_the_template_tells_how_calls_are_written(template, style):
    assert tools.detect_style(template) == style


def test_the_choice_decides_what_is_offered():
    assert tools.offered(chat(ADD, NOW)) == (ADD, NOW)
    assert tools.offered(chat(ADD, tool_choice="none")) == ()
    assert tools.offered(chat(ADD, tool_choice="named", tool_name="add")) == (ADD,)


@pytest.mark.parametrize(
    ("prompt", "message", "param"),
    [
        (chat(tool_choice="required"), "`tools` is empty", "tool_choice"),
        (chat(ADD, tool_choice="named", tool_name="sub"), "Tool with name sub not found", "tool_choice"),
        (chat(ADD, ADD), "two tools with the name add", "tools"),
        (chat(Tool(name="a b")), "1 to 128 letters", "tools"),
        (chat(Tool(name="x" * 129)), "1 to 128 letters", "tools"),
        (
            chat(Tool(name="a", parameters="{")),
            "parameters of the tool a cannot be used: the schema is not JSON",
            "tools",
        ),
        (chat(Tool(name="a", parameters="[1]")), "must be a JSON object", "tools"),
        (chat(Tool(name="a", parameters=nested(12))), "at most 12 deep", "tools"),
        (chat(Tool(name="a", parameters=nested(100_000))), "at most 16 KiB", "tools"),
        (chat(Tool(name="a", parameters='{"x":"' + "y" * 20_000 + '"}')), "at most 16 KiB", "tools"),
        (chat(*(Tool(name=f"t{n}") for n in range(129))), "at most 128 tools", "tools"),
    ],
)
def test_bad_tools_are_refused(prompt, message, param):
    with pytest.raises(InvalidInput, match=message) as raised:
        tools.offered(prompt)
    assert raised.value.param == param


def forced(*given, **more):
    return json.loads(tools.forcing_grammar(chat(*given, **more)).value)


def test_a_named_tool_is_the_only_one_that_may_be_called():
    schema = forced(ADD, NOW, tool_choice="named", tool_name="add")
    assert schema["properties"] == {"name": {"const": "add"}, "arguments": json.loads(ADD.parameters)}
    assert schema["required"] == ["name", "arguments"]


def test_required_means_one_of_them_or_several_in_parallel():
    assert len(forced(ADD, NOW, tool_choice="required", parallel_tools=False)["anyOf"]) == 2
    several = forced(ADD, NOW, tool_choice="required")
    assert (several["type"], several["minItems"], len(several["items"]["anyOf"])) == ("array", 1, 2)


def test_definitions_move_to_the_root_without_clashing():
    def point(kind):
        return Tool(
            name=kind,
            parameters=json.dumps(
                {
                    "$schema": "x",
                    "properties": {"p": {"$ref": "#/$defs/P"}, "q": {"$ref": "#/definitions/Q"}},
                    "$defs": {"P": {"type": kind}},
                    "definitions": {"Q": {"$ref": "#/$defs/P"}},
                }
            ),
        )

    schema = forced(point("string"), point("number"), tool_choice="required", parallel_tools=False)
    assert schema["$defs"]["tool0_P"] == {"type": "string"}
    assert schema["$defs"]["tool1_P"] == {"type": "number"}
    assert schema["$defs"]["tool1_Q"] == {"$ref": "#/$defs/tool1_P"}
    arguments = schema["anyOf"][1]["properties"]["arguments"]
    assert arguments["properties"] == {"p": {"$ref": "#/$defs/tool1_P"}, "q": {"$ref": "#/$defs/tool1_Q"}}
    assert arguments["type"] == "object"


def test_tools_too_large_to_be_forced_are_refused():
    large = [Tool(name=f"t{n}", parameters='{"description":"' + "x" * 9_000 + '"}') for n in range(3)]
    assert len(tools.offered(chat(*large))) == 3
    with pytest.raises(InvalidInput, match="too much for a call that must be made"):
        forced(*large, tool_choice="required")


@pytest.mark.parametrize(
    ("unset", "said", "expected"),
    [
        (("temperature",), {}, Sampling(do_sample=True)),
        (("temperature",), {"temperature": 0.6, "do_sample": False}, Sampling(do_sample=True, temperature=0.6)),
        (("temperature",), {"temperature": 0}, Sampling()),
        (("temperature",), {"temperature": "hot"}, Sampling(do_sample=True)),
        (("top_p", "top_k"), {"top_p": 0.9, "top_k": 50}, Sampling()),
        (
            ("temperature", "top_p", "top_k"),
            {"temperature": 0.7, "top_p": 0.9, "top_k": 50},
            Sampling(do_sample=True, temperature=0.7, top_p=0.9, top_k=50),
        ),
        (("temperature", "top_p", "top_k"), {"top_p": 7, "top_k": -1}, Sampling(do_sample=True)),
        (("temperature",), {"top_p": 0.9}, Sampling(do_sample=True)),
    ],
)
def test_what_is_unset_is_the_models_own(unset, said, expected):
    assert with_defaults(Sampling(), unset, said) == expected
    assert with_defaults(Sampling(seed=7), unset, said).seed == 7
