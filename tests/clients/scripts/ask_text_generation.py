"""text-generation, the Python client of text-generation-inference: it sends the token as a header of ours."""

import asyncio
from importlib.metadata import version

from text_generation import AsyncClient, Client
from text_generation.types import Grammar, Message, Tool

from report import ASK_TOOL, CALL, HELLO, TOOL, chat, echo, finish, found, note, token, url

found["version"] = version("text-generation")
headers = {"Authorization": f"Bearer {token}"}
parrot = Client(f"{url}/models/{echo}", headers=headers, timeout=60)
talker = Client(f"{url}/models/{chat}", headers=headers, timeout=60)
root = Client(url, headers=headers, timeout=60)
messages = [Message(**message) for message in HELLO]


def answer(reply):
    choice = reply.choices[0]
    return [choice.message.role, choice.message.content, choice.finish_reason, reply.usage["completion_tokens"]]


def generated(reply):
    details = reply.details
    return [reply.generated_text, details.finish_reason.value, details.generated_tokens, len(details.tokens)]


def streamed():
    frames = list(parrot.generate_stream("Hello", max_new_tokens=10))
    return [
        "".join(frame.token.text for frame in frames),
        frames[-1].generated_text,
        frames[-1].details.generated_tokens,
    ]


def chatted():
    chunks = list(parrot.chat(messages, temperature=0.0, max_tokens=11, stream=True))
    return ["".join(chunk.choices[0].delta.content or "" for chunk in chunks), chunks[-1].choices[0].finish_reason]


ASKED = {
    "messages": [Message(**message) for message in ASK_TOOL],
    "tools": [Tool(**TOOL)],
    "max_tokens": len(CALL),
    "temperature": 0.0,
}


def chatted_with_tools():
    chunks = list(parrot.chat(**ASKED, stream=True))
    calls = [chunk.choices[0].delta.tool_calls for chunk in chunks if chunk.choices[0].delta.tool_calls]
    return [calls[0].function.name, "".join(call.function.arguments for call in calls)]


def called():
    reply = parrot.chat(**ASKED)
    return [call["function"] for call in reply.choices[0].message.tool_calls]


async def chatted_async():
    client = AsyncClient(f"{url}/models/{echo}", headers=headers, timeout=60)
    chunks = [chunk async for chunk in await client.chat(messages, temperature=0.0, max_tokens=11, stream=True)]
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


note("generate", lambda: generated(parrot.generate("Hello", max_new_tokens=10)))
note("generate_root", lambda: generated(root.generate("Hello", max_new_tokens=6)))
note(
    "generate_all",
    lambda: generated(
        talker.generate(
            "Hello", do_sample=True, max_new_tokens=6, repetition_penalty=1.1, return_full_text=True, seed=3,
            stop_sequences=["@@"], temperature=0.7, top_k=20, top_p=0.9, truncate=4, typical_p=0.9, best_of=1,
        )
    ),
)  # fmt: skip
number = Grammar(type="regex", value="[0-9]{4}")
note("grammar", lambda: talker.generate("x", max_new_tokens=9, grammar=number).generated_text)
note("stream", streamed)
note("chat", lambda: answer(parrot.chat(messages, temperature=0.0, max_tokens=11)))
note("chat_root", lambda: answer(root.chat(messages, temperature=0.0, max_tokens=6)))
note("chat_stream", chatted)
note("chat_stream_async", lambda: asyncio.run(chatted_async()))
note("tools_stream", chatted_with_tools)
note("tools", called)

note("bad_value", lambda: parrot.generate("x", max_new_tokens=100_000))
note("bad_value_stream", lambda: list(parrot.generate_stream("x", max_new_tokens=100_000)))
note("unknown", lambda: Client(f"{url}/models/no/such", headers=headers).generate("x"))
note("bad_token", lambda: Client(f"{url}/models/{echo}").generate("x"))
failing = Client(f"{url}/models/test/fail-mid", headers=headers)
note("failure", lambda: failing.generate("abcdef"))
note("late_failure", lambda: list(failing.generate_stream("abcdef")))
finish()
