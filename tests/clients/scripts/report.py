"""What a client makes of each call, printed as one line of JSON. Runs in every environment: the standard library only.

Arguments of a script: the server's URL, a token, the id of a model that chats, the id of the echo model.
"""

import json
import sys

url, token, chat, echo = sys.argv[1:5]

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
# The echo model says what it is told, so this provokes a call.
CALL = '<tool_call>{"name":"get_weather","arguments":{"city":"Paris"}}</tool_call>'
SCHEMA = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}, "color": {"enum": ["red", "blue"]}},
    "required": ["ok", "color"],
    "additionalProperties": False,
}
HELLO = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello there"}]
ASK_TOOL = [{"role": "user", "content": CALL}]

found = {}


def note(name, call):
    """Keep what `call` gives, which JSON can hold, or what it raises."""
    try:
        found[name] = call()
    except Exception as error:
        found[name] = failure(error)


async def note_async(name, call):
    try:
        found[name] = await call()
    except Exception as error:
        found[name] = failure(error)


def failure(error):
    """The class and the words of an error; and what the client made of the answer behind it."""
    facts = {"raised": type(error).__name__, "message": str(error)[:500]}
    response, cause = None, error
    while cause is not None and response is None:
        response = getattr(cause, "response", None)
        cause = cause.__cause__ or cause.__context__
    facts["status"] = getattr(response, "status_code", getattr(error, "status_code", None))
    headers = getattr(response, "headers", None) or {}
    facts["headers"] = {name: headers.get(name) for name in ("retry-after", "x-should-retry", "x-request-id")}
    for name in ("code", "param", "type", "body", "request_id"):
        value = getattr(error, name, None)
        facts[name] = value if isinstance(value, str | int | dict | None) else str(value)
    return facts


def finish():
    print("\n" + json.dumps(found))
