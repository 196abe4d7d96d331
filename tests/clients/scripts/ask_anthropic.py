"""anthropic: messages, streams, tools, counting, and errors."""

import anthropic

from report import CALL, TOOL, chat, echo, finish, found, note, token, url

found["version"] = anthropic.__version__
client = anthropic.Anthropic(base_url=url, api_key=token, max_retries=0, timeout=60)
strict = anthropic.Anthropic(base_url=url, api_key=token, max_retries=0, timeout=60, _strict_response_validation=True)
HELLO = [{"role": "user", "content": "Hello there"}]
ASK = [{"role": "user", "content": CALL}]
WEATHER = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "input_schema": TOOL["function"]["parameters"],
}


def answer(message):
    return {
        "text": "".join(block.text for block in message.content if block.type == "text"),
        "tools": [[block.id, block.name, block.input] for block in message.content if block.type == "tool_use"],
        "reason": message.stop_reason,
        "sequence": message.stop_sequence,
        "usage": [message.usage.input_tokens, message.usage.output_tokens],
        "kind": [message.type, message.role, message.model, bool(message.id)],
    }


def sampled(temperature, **more):
    """The client has no arguments for sampling any more, and sends what stands in `extra_body` along."""
    return {"extra_body": {"temperature": temperature, **more}}


# Without a temperature of 0 the echo model says its letters in another order.
DEFAULTS = {"model": echo, "messages": HELLO, "max_tokens": 11, **sampled(0)}


def ask(by=client, **more):
    return by.messages.create(**{**DEFAULTS, **more})


def streamed(**more):
    types, text = [], ""
    with client.messages.stream(**{**DEFAULTS, **more}) as stream:
        for event in stream:
            types += [event.type] if event.type not in types else []
            text += event.text if event.type == "text" else ""
        return {"types": types, "said": text, **answer(stream.get_final_message())}


note("plain", lambda: answer(ask(strict, system="Be brief.")))
note("parts", lambda: answer(ask(messages=[{"role": "user", "content": [{"type": "text", "text": "Hello there"}]}])))
note("real", lambda: answer(ask(strict, model=chat, system=[{"type": "text", "text": "Be brief."}], max_tokens=8)))
note("stream", streamed)
note("raw_stream", lambda: [event.type for event in ask(stream=True)])
note("stopped", lambda: answer(ask(stop_sequences=["the"])))
note("sampled", lambda: answer(ask(model=chat, max_tokens=5, **sampled(0.7, top_p=0.9, top_k=20))))
note("tools", lambda: answer(ask(strict, messages=ASK, tools=[WEATHER], max_tokens=len(CALL))))
note("tools_stream", lambda: streamed(messages=ASK, tools=[WEATHER], max_tokens=len(CALL)))


# Anthropic's format has no seed, and random weights like long strings: two cities are enough to choose from.
CITIES = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"]}


def forced(choice):
    tool = {**WEATHER, "input_schema": {**CITIES, "additionalProperties": False}}
    return answer(ask(model=chat, tools=[tool], tool_choice=choice, max_tokens=1000, **sampled(1.0)))


note("tools_any", lambda: forced({"type": "any"}))
note("tools_named", lambda: forced({"type": "tool", "name": "get_weather"}))


def after_a_tool():
    asked = ask(messages=ASK, tools=[WEATHER], max_tokens=len(CALL))
    id = next(block.id for block in asked.content if block.type == "tool_use")
    told = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": "sunny"}]}
    turns = [*ASK, {"role": "assistant", "content": asked.content}, told]
    return answer(ask(model=chat, messages=turns, tools=[WEATHER], max_tokens=4))


note("after_a_tool", after_a_tool)
note("count", lambda: strict.messages.count_tokens(model=chat, messages=HELLO).input_tokens)
note("counted", lambda: ask(model=chat, max_tokens=1).usage.input_tokens)
note("models", lambda: [[model.id, model.type, model.display_name] for model in client.models.list()])
note("model", lambda: client.models.retrieve(chat).id)
bearer = anthropic.Anthropic(base_url=url, auth_token=token, api_key=None, max_retries=0)
note("bearer", lambda: answer(ask(bearer)))

note("bad_value", lambda: ask(**sampled(-3)))
note("bad_role", lambda: ask(messages=[{"role": "wizard", "content": "x"}]))
note("empty", lambda: ask(messages=[]))
image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
note("image", lambda: ask(messages=[{"role": "user", "content": [image]}]))
note("unknown", lambda: ask(model="no/such"))
note("bad_token", lambda: ask(anthropic.Anthropic(base_url=url, api_key="hf_wrong", max_retries=0)))
note("late_failure", lambda: streamed(model="test/fail-mid"))
finish()
