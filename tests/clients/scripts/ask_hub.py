"""huggingface_hub: text generation, conversations, tools, shapes, and the pages of the Hub."""

import asyncio
import json

import huggingface_hub
from huggingface_hub import AsyncInferenceClient, HfApi, InferenceClient

from report import ASK_TOOL, CALL, HELLO, SCHEMA, TOOL, chat, echo, finish, found, note, note_async, token, url

old = huggingface_hub.__version__.startswith("0.")
found["version"] = huggingface_hub.__version__
# 0.24 is told the server by HF_INFERENCE_ENDPOINT, newer versions by a URL.
talker = InferenceClient(chat if old else f"{url}/models/{chat}", token=token, timeout=60)
parrot = InferenceClient(echo if old else f"{url}/models/{echo}", token=token, timeout=60)
by_base = InferenceClient(base_url=f"{url}/v1", token=token, timeout=60)
by_url = InferenceClient(f"{url}/models/{echo}", token=token, timeout=60)
failing = InferenceClient(f"{url}/models/test/fail-mid", token=token, timeout=60)


def answer(reply):
    choice = reply.choices[0]
    return {
        "text": choice.message.content,
        "role": choice.message.role,
        "reason": choice.finish_reason,
        "usage": [reply.usage.prompt_tokens, reply.usage.completion_tokens, reply.usage.total_tokens],
        "tools": calls(choice.message.tool_calls),
    }


def calls(made):
    return [[call.id, call.type, call.function.name, call.function.arguments] for call in made or []]


def streamed(chunks):
    text, reason, named, arguments = "", None, [], ""
    for chunk in chunks:
        for choice in chunk.choices:
            text += choice.delta.content or ""
            reason = choice.finish_reason or reason
            made = choice.delta.tool_calls or []
            for call in made if isinstance(made, list) else [made]:
                named += [call.function.name] if call.function.name else []
                arguments += call.function.arguments or ""
    return {"text": text, "reason": reason, "named": named, "arguments": arguments}


# With random weights the likeliest token is often the same for ever, such as a space between two braces.
LIVELY = {"max_new_tokens": 300, "do_sample": True, "temperature": 1.0, "seed": 3}

if old:
    shape = {"type": "json", "value": SCHEMA}
else:
    shape = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}}


def shaped():
    return talker.chat_completion(HELLO, response_format=shape, max_tokens=300, temperature=1.0, seed=3)


note("text", lambda: parrot.text_generation("Hello", max_new_tokens=10))
note("text_stream", lambda: list(parrot.text_generation("Hello", max_new_tokens=10, stream=True)))
note("text_url", lambda: by_url.text_generation("Hello", max_new_tokens=5))
note("grammar", lambda: talker.text_generation("x", grammar={"type": "json", "value": SCHEMA}, **LIVELY))
note("regex", lambda: talker.text_generation("x", max_new_tokens=9, grammar={"type": "regex", "value": "[0-9]{4}"}))
note("chat", lambda: answer(parrot.chat_completion(HELLO, temperature=0.0, max_tokens=11)))
note("chat_real", lambda: answer(talker.chat_completion(HELLO, temperature=0.0, max_tokens=8)))
note("chat_stream", lambda: streamed(parrot.chat_completion(HELLO, temperature=0.0, max_tokens=11, stream=True)))
note("chat_base_url", lambda: answer(by_base.chat_completion(HELLO, temperature=0.0, model=echo, max_tokens=11)))
note("chat_url", lambda: answer(by_url.chat_completion(HELLO, temperature=0.0, max_tokens=11)))
note("chat_no_model", lambda: answer(by_base.chat_completion(HELLO, temperature=0.0, max_tokens=8)))
note(
    "tools",
    lambda: answer(
        parrot.chat_completion(ASK_TOOL, temperature=0.0, tools=[TOOL], tool_choice="auto", max_tokens=len(CALL))
    ),
)
note(
    "tools_stream",
    lambda: streamed(
        parrot.chat_completion(
            ASK_TOOL, temperature=0.0, tools=[TOOL], tool_choice="auto", max_tokens=len(CALL), stream=True
        )
    ),
)
note("shape", lambda: json.loads(shaped().choices[0].message.content))
note("several", lambda: len(parrot.chat_completion(HELLO, max_tokens=4, n=2, seed=1).choices))
note("bad_chat", lambda: parrot.chat_completion(HELLO, temperature=-3.0))
note("bad_role", lambda: parrot.chat_completion([{"role": "wizard", "content": "x"}]))
note("bad_token", lambda: InferenceClient(f"{url}/models/{echo}", token="hf_wrong").chat_completion(HELLO))
note("late_failure", lambda: list(failing.text_generation("abcdef", max_new_tokens=9, stream=True)))
note("late_failure_chat", lambda: streamed(failing.chat_completion(HELLO, max_tokens=9, stream=True)))

# With HF_ENDPOINT set, the Hub's own pages are ours too.
hub = HfApi(token=token)
note("whoami", lambda: {name: hub.whoami()[name] for name in ("name", "isPro", "orgs", "type")})
note("whoami_bad", lambda: HfApi(token="hf_wrong").whoami())
note("model_info", lambda: [hub.model_info(echo).id, hub.model_info(echo).pipeline_tag])
note("model_unknown", lambda: hub.model_info("no/such"))
note("models", lambda: sorted(model.id for model in hub.list_models(limit=3)))
# Newer versions have these two for one provider only, which must be named.
ours = InferenceClient(f"{url}/models/{echo}", token=token, **({} if old else {"provider": "hf-inference"}))
note("info", lambda: ours.get_endpoint_info()["model_id"])
note("health", ours.health_check)
if old:
    note("status", lambda: vars(talker.get_model_status(chat)))
    note("deployed", lambda: talker.list_deployed_models(["text-generation-inference"]))


async def later():
    client = AsyncInferenceClient(f"{url}/models/{echo}", token=token, timeout=60)
    await note_async("async_chat", lambda: ask_later(client))


async def ask_later(client):
    return answer(await client.chat_completion(HELLO, temperature=0.0, max_tokens=11))


asyncio.run(later())
finish()
