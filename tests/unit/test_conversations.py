"""Conversations as each published template renders them, and what happens where a template refuses one."""

from datetime import datetime
from pathlib import Path

import pytest

from pronto.core.errors import InvalidInput
from pronto.core.request import CalledTool, ChatPrompt, Message, Tool
from pronto.engines.text.chat_template import ChatTemplate, find_template
from pronto.engines.text.conversation import Terms, render

TEMPLATES = Path(__file__).parent.parent / "templates"
WEATHER = Tool(name="weather", description="The <weather>.", parameters='{"type":"object","properties":{"city":{}}}')
CHAT = (
    Message(role="system", content="Be brief."),
    Message(role="user", content="Hi"),
    Message(role="assistant", content="Hello!"),
    Message(role="user", content="Why?"),
)

# family -> (first token, end token, rendering)
GOLDEN = {
    "llama-2-chat": (
        "<s>",
        "</s>",
        "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi [/INST] Hello! </s><s>[INST] Why? [/INST]",
    ),
    "llama-3": (
        "<|begin_of_text|>",
        "<|eot_id|>",
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nHello!<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nWhy?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
    ),
    "mistral-v0.2": (  # refuses system messages
        "<s>",
        "</s>",
        "<s>[INST] Be brief.\n\nHi [/INST]Hello!</s>[INST] Why? [/INST]",
    ),
    "mixtral-instruct": (
        "<s>",
        "</s>",
        "<s> [INST] Be brief.\n\nHi [/INST] Hello!</s> [INST] Why? [/INST]",
    ),
    "nous-hermes-chatml": (
        "<s>",
        "<|im_end|>",
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
        "<|im_start|>assistant\nHello!<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n",
    ),
    "zephyr": (
        "<s>",
        "</s>",
        "<|system|>\nBe brief.</s>\n<|user|>\nHi</s>\n<|assistant|>\nHello!</s>\n<|user|>\nWhy?</s>\n<|assistant|>\n",
    ),
    "code-llama-instruct": (
        "<s>",
        "</s>",
        "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi [/INST] Hello! </s><s>[INST] Why? [/INST]",
    ),
}


def published(name):
    # Published templates stand in JSON strings, which end without a newline.
    return ChatTemplate((TEMPLATES / f"{name}.jinja").read_text(encoding="utf-8").removesuffix("\n"))


def say(template, messages=CHAT, *, bos="<s>", eos="</s>", system=None, **more):
    chosen = published(template) if template in GOLDEN or template.startswith("hermes") else ChatTemplate(template)
    terms = Terms(bos=bos, eos=eos, system_prompt=system, now=lambda: datetime(2024, 7, 26, 12, 0))
    return render(ChatPrompt(messages=messages, **more), chosen, terms)


@pytest.mark.parametrize("family", GOLDEN)
def test_published_templates_render_as_published(family):
    bos, eos, expected = GOLDEN[family]
    assert say(family, bos=bos, eos=eos) == expected


def test_the_default_system_prompt_begins_conversations_that_bring_none():
    assert say("llama-2-chat", CHAT[1:], system="Be brief.") == GOLDEN["llama-2-chat"][2]
    assert say("llama-2-chat", CHAT, system="Be long.") == GOLDEN["llama-2-chat"][2]
    assert say("llama-2-chat", CHAT[1:2]) == "<s>[INST] Hi [/INST]"


@pytest.mark.parametrize("family", ["llama-2-chat", "mistral-v0.2", "mixtral-instruct", "code-llama-instruct"])
def test_roles_that_do_not_alternate_are_named(family):
    with pytest.raises(InvalidInput, match=r"must alternate.*the role `user` follows another") as raised:
        say(family, (CHAT[1], CHAT[1]))
    assert raised.value.param == "messages"
    with pytest.raises(InvalidInput, match=r"must alternate.*the role `user` follows another"):
        say(family, (CHAT[0], CHAT[1], CHAT[1]))
    with pytest.raises(InvalidInput, match=r"must alternate.*\(the roles are assistant\)"):
        say(family, (CHAT[2],))


def test_a_template_that_passes_over_the_system_message_gets_it_with_the_user():
    template = "{% for m in messages if m.role != 'system' %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    assert say(template, CHAT[:2]) == "user: Be brief.\n\nHi\n"


def test_a_system_message_alone_is_said_by_the_user_where_it_is_refused():
    assert say("mistral-v0.2", CHAT[:1]) == "<s>[INST] Be brief. [/INST]"


@pytest.mark.parametrize(
    ("messages", "message"),
    [((), "cannot be empty"), ((Message(role="robot", content="x"),), "Message 0 has the role `robot`")],
)
def test_impossible_conversations_are_refused(messages, message):
    with pytest.raises(InvalidInput, match=message):
        say("llama-3", messages)


def test_the_models_own_last_message_is_gone_on_with():
    begun = (*CHAT[:2], Message(role="assistant", content="Well, "))
    assert say("nous-hermes-chatml", begun).endswith("<|im_start|>assistant\nWell,")
    assert say("llama-2-chat", begun).endswith("[/INST] Well,")


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ strftime_now('%d %b %Y') }}", "26 Jul 2024"),
        ("{{ '<&>' | tojson }}{{ {'b': 'é', 'a': [1]} | tojson }}", '"<&>"{"b": "é", "a": [1]}'),
        ("{{ {'a': 1} | tojson(indent=2) }}", '{\n  "a": 1\n}'),
        (
            "{% for m in messages %}{% if loop.index > 2 %}{% break %}{% endif %}{{ m.role }} {% endfor %}",
            "user assistant ",
        ),
        ("{% generation %}{{ messages[0].content }}{% endgeneration %}", "Hi"),
        ("  {% if true %}\nx\n  {% endif %}\n", "x\n"),
        ("{{ tools is defined }}", "False"),
    ],
)
def test_templates_have_what_transformers_gives_them(template, expected):
    assert say(template, CHAT[1:]) == expected


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ messages[0].content.__class__.__mro__ }}", "cannot be rendered|unsafe"),
        ("{% for %}", "cannot be read"),
        ("{{ messages[9].content.x.y }}", "cannot be rendered"),
        ("{{ 1 / 0 }}", "does not take this conversation"),
        ("{{ messages.append(1) }}", "cannot be rendered"),
        ("{{ range(10**9) | list }}", "does not take this conversation"),
    ],
)
def test_bad_templates_harm_nobody(template, message):
    with pytest.raises(InvalidInput, match=message):
        say(template)


def test_tools_are_told_in_the_templates_own_way():
    text = say("hermes-2-pro-tools", CHAT[1:2], tools=(WEATHER,))
    assert (
        '<tools> {"type": "function", "function": {"name": "weather", "description": "The <weather>.", '
        '"parameters": {"type": "object", "properties": {"city": {}}}}} </tools>'
    ) in text
    assert "weather" not in say("hermes-2-pro-tools", CHAT[1:2], tools=(WEATHER,), tool_choice="none")


def test_earlier_calls_come_to_templates_as_objects():
    called = Message(role="assistant", tool_calls=(CalledTool(id="c1", name="weather", arguments='{"city":"Köln"}'),))
    result = Message(role="tool", content="rain", tool_call_id="c1")
    text = say("hermes-2-pro-tools", (CHAT[1], called, result), tools=(WEATHER,))
    assert '{"name": "weather", "arguments": {"city": "Köln"}}' in text
    assert "<tool_response>\nrain\n</tool_response>" in text
    broken = Message(role="assistant", tool_calls=(CalledTool(id="c1", name="weather", arguments="{"),))
    with pytest.raises(InvalidInput, match="The arguments of the call c1 of the tool weather must be a JSON object"):
        say("hermes-2-pro-tools", (CHAT[1], broken, result), tools=(WEATHER,))


def test_templates_without_tools_get_them_in_plain_words():
    called = Message(role="assistant", tool_calls=(CalledTool(id="c1", name="weather", arguments='{"city":"Köln"}'),))
    results = (Message(role="tool", content="rain", name="weather"), Message(role="tool", content="9 °C"))
    text = say("llama-2-chat", (*CHAT[:2], called, *results, CHAT[3]), tools=(WEATHER,))
    assert text.startswith("<s>[INST] <<SYS>>\nBe brief.\n\nYou may call these tools")
    assert '{"name": "weather", "description": "The <weather>."' in text
    assert ' {"name": "weather", "arguments": {"city": "Köln"}} </s>' in text
    assert text.endswith("<s>[INST] Result of weather: rain\nResult of the tool: 9 °C\nWhy? [/INST]")


def test_mistrals_ids_have_nine_characters():
    template = (
        "{% for m in messages %}{% if m.tool_calls is defined %}{% if m.tool_calls[0].id|length != 9 %}"
        "{{ raise_exception('length 9!') }}{% endif %}{{ m.tool_calls[0].id }}{% endif %}"
        "{% if m.role == 'tool' %}={{ m.tool_call_id }}{% endif %}{% endfor %}{{ tools }}"
    )
    called = Message(role="assistant", tool_calls=(CalledTool(id="call_0123456789ab", name="f", arguments=""),))
    text = say(template, (called, Message(role="tool", tool_call_id="call_0123456789ab")), tools=(WEATHER,))
    assert text.startswith("3456789ab=3456789ab")


def test_where_templates_are_found(tmp_path):
    assert find_template(tmp_path, None, with_tools=False) is None
    assert find_template(tmp_path, "own", with_tools=False) == "own"
    (tmp_path / "chat_template.jinja").write_text("file")
    assert find_template(tmp_path, None, with_tools=False) == "file"
    config = tmp_path / "tokenizer_config.json"
    config.write_text('{"chat_template": "string"}')
    assert find_template(tmp_path, None, with_tools=False) == "string"
    config.write_text(
        '{"chat_template": [{"name": "default", "template": "d"}, {"name": "tool_use", "template": "t"}]}'
    )
    assert find_template(tmp_path, None, with_tools=False) == "d"
    assert find_template(tmp_path, None, with_tools=True) == "t"
    assert find_template(tmp_path, "own", with_tools=True) == "own"
