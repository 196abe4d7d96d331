"""openai: conversations, completions, responses, shapes, tools, models, and errors with their retry headers."""

from typing import Literal

import openai
from pydantic import BaseModel

from report import ASK_TOOL, CALL, HELLO, TOOL, chat, echo, finish, found, note, token, url


class Answer(BaseModel):
    ok: bool
    color: Literal["red", "blue"]


found["version"] = openai.__version__
client = openai.OpenAI(base_url=f"{url}/v1", api_key=token, max_retries=0, timeout=60)
# The strict one refuses answers that lack a field of the specification.
strict = openai.OpenAI(base_url=f"{url}/v1", api_key=token, max_retries=0, timeout=60, _strict_response_validation=True)
of_model = openai.OpenAI(base_url=f"{url}/models/{echo}/v1", api_key=token, max_retries=0)
# With random weights the likeliest token is often the same for ever, such as a space between two braces.
LIVELY = {"temperature": 1.0, "seed": 3}
FLAT_TOOL = {"type": "function", **TOOL["function"]}


def answer(reply):
    choice = reply.choices[0]
    return {
        "id": reply.id,
        "text": choice.message.content,
        "reason": choice.finish_reason,
        "usage": reply.usage.model_dump(include={"prompt_tokens", "completion_tokens", "total_tokens"}),
        "tools": [[call.id, call.function.name, call.function.arguments] for call in choice.message.tool_calls or []],
    }


def streamed(chunks):
    text, reason, usage, arguments, names = "", None, None, "", []
    for chunk in chunks:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            reason = choice.finish_reason or reason
            for call in choice.delta.tool_calls or []:
                names += [call.function.name] if call.function.name else []
                arguments += call.function.arguments or ""
    return {
        "text": text,
        "reason": reason,
        "usage": usage and usage.total_tokens,
        "names": names,
        "arguments": arguments,
    }


def ask(by=client, model=echo, messages=HELLO, **more):
    # Without a temperature of 0 the echo model says its letters in another order.
    return by.chat.completions.create(**{"model": model, "messages": messages, "temperature": 0, **more})


note("models", lambda: [[model.id, model.object] for model in strict.models.list()])
note("model", lambda: strict.models.retrieve(chat).id)
note("chat", lambda: answer(ask(strict, max_tokens=11)))
note("chat_real", lambda: answer(ask(strict, chat, max_completion_tokens=8, **LIVELY)))
note("chat_of_model", lambda: answer(ask(of_model, "tgi", max_tokens=11)))
note("stream", lambda: streamed(ask(strict, max_tokens=11, stream=True)))
note("stream_usage", lambda: streamed(ask(max_tokens=11, stream=True, stream_options={"include_usage": True})))
note("several", lambda: [choice.index for choice in ask(max_tokens=4, n=2, seed=1).choices])
note("stopped", lambda: answer(ask(max_tokens=11, stop=["the"])))
note("tools", lambda: answer(ask(strict, messages=ASK_TOOL, tools=[TOOL], max_tokens=len(CALL))))
note("tools_stream", lambda: streamed(ask(messages=ASK_TOOL, tools=[TOOL], max_tokens=len(CALL), stream=True)))
note("tools_forced", lambda: answer(ask(model=chat, tools=[TOOL], tool_choice="required", max_tokens=1000, **LIVELY)))
named = {"type": "function", "function": {"name": "get_weather"}}
note("tools_named", lambda: answer(ask(model=chat, tools=[TOOL], tool_choice=named, max_tokens=1000, **LIVELY)))
note("tools_off", lambda: answer(ask(messages=ASK_TOOL, tools=[TOOL], tool_choice="none", max_tokens=len(CALL))))


def parsed():
    reply = client.chat.completions.parse(model=chat, messages=HELLO, response_format=Answer, max_tokens=300, **LIVELY)
    return reply.choices[0].message.parsed.model_dump()


def any_json():
    reply = ask(model=chat, response_format={"type": "json_object"}, max_tokens=1000, **LIVELY)
    return [reply.choices[0].finish_reason, reply.choices[0].message.content]


note("parse", parsed)
note("json_object", any_json)


def after_a_tool():
    asked = ask(messages=ASK_TOOL, tools=[TOOL], max_tokens=len(CALL)).choices[0].message
    told = {"role": "tool", "tool_call_id": asked.tool_calls[0].id, "content": "sunny"}
    return answer(ask(model=chat, messages=[*ASK_TOOL, asked, told], tools=[TOOL], max_tokens=4))


note("after_a_tool", after_a_tool)


def complete(**more):
    reply = strict.completions.create(**{"model": echo, "max_tokens": 10, "temperature": 0, **more})
    return [[choice.text, choice.index, choice.finish_reason] for choice in reply.choices]


note("complete", lambda: complete(prompt="Hello"))
note("complete_list", lambda: complete(prompt=["ab", "cd"], max_tokens=4))
note("complete_infill", lambda: complete(model=chat, prompt="def add(a, b):\n", suffix="\n    return c", max_tokens=6))
note(
    "complete_stream",
    lambda: "".join(
        choice.text
        for chunk in client.completions.create(model=echo, prompt="Hello", max_tokens=10, temperature=0, stream=True)
        for choice in chunk.choices
    ),
)


def logprobs():
    reply = ask(model=chat, max_tokens=3, logprobs=True, **LIVELY)
    return [entry.logprob <= 0 for entry in reply.choices[0].logprobs.content]


note("logprobs", logprobs)


def respond(**more):
    return client.responses.create(
        **{"model": echo, "input": "Hello there", "max_output_tokens": 11, "temperature": 0, **more}
    )


def respond_stream():
    events = list(respond(stream=True))
    numbers = [event.sequence_number for event in events]
    return {
        "types": [event.type for event in events],
        "text": "".join(event.delta for event in events if event.type == "response.output_text.delta"),
        "is_numbered": numbers == list(range(numbers[0], numbers[0] + len(numbers))),
        "final": events[-1].response.output_text,
    }


def respond_twice():
    first = respond(model=chat, max_output_tokens=4)
    second = respond(model=chat, max_output_tokens=4, previous_response_id=first.id)
    kept = client.responses.retrieve(first.id).output_text
    client.responses.delete(first.id)
    return {"previous": second.previous_response_id == first.id, "same": kept == first.output_text}


def respond_tool():
    reply = respond(input=CALL, tools=[FLAT_TOOL], max_output_tokens=len(CALL))
    return [[item.type, item.name, item.arguments] for item in reply.output if item.type == "function_call"]


def respond_parsed():
    reply = client.responses.parse(
        model=chat, input="Hello", text_format=Answer, max_output_tokens=300, temperature=1.0
    )
    return reply.output_parsed.model_dump()


note("respond", lambda: [respond().output_text, respond().status, respond().object])
note("respond_stream", respond_stream)
note("respond_twice", respond_twice)
note("respond_tool", respond_tool)
note("respond_parsed", respond_parsed)
note("respond_forgotten", lambda: client.responses.retrieve("resp_doesnotexist"))

note("bad_value", lambda: ask(temperature=-3))
note("bad_role", lambda: ask(messages=[{"role": "wizard", "content": "x"}]))
note("bad_tools", lambda: ask(tools=[{"type": "function", "function": {"name": "bad name!"}}]))
note(
    "bad_schema",
    lambda: ask(
        model=chat, response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": 7}}}
    ),
)
image = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
note("image", lambda: ask(messages=[{"role": "user", "content": image}]))
note("too_long", lambda: ask(model=chat, messages=[{"role": "user", "content": "x " * 3000}]))
note("unknown", lambda: ask(model="no/such"))
note("unknown_model", lambda: client.models.retrieve("no/such"))
note("bad_token", lambda: openai.OpenAI(base_url=f"{url}/v1", api_key="hf_wrong", max_retries=0).models.list())
note("bad_token_chat", lambda: ask(openai.OpenAI(base_url=f"{url}/v1", api_key="hf_wrong", max_retries=0)))
note("late_failure", lambda: streamed(ask(model="test/fail-mid", max_tokens=9, stream=True)))
note("failure", lambda: ask(model="test/fail-mid", max_tokens=9))
finish()
