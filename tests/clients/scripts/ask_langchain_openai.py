"""langchain-openai: conversations, streams, tools, shapes and completions."""

from importlib.metadata import version
from typing import Literal

from langchain_openai import ChatOpenAI, OpenAI
from pydantic import BaseModel

from report import CALL, TOOL, chat, echo, finish, found, note, token, url


class Answer(BaseModel):
    ok: bool
    color: Literal["red", "blue"]


found["version"] = version("langchain-openai")


def model(name, **more):
    options = {"temperature": 0, "max_retries": 0, **more}
    return ChatOpenAI(base_url=f"{url}/v1", api_key=token, model=name, **options)


parrot = model(echo, max_tokens=11)
bound = model(echo, max_tokens=len(CALL)).bind_tools([TOOL])
lively = model(chat, max_tokens=1000, temperature=1.0, seed=3)


def streamed(messages, by):
    whole = None
    for piece in by.stream(messages):
        whole = piece if whole is None else whole + piece
    return whole


note("chat", lambda: parrot.invoke("Hello there").content)
note("usage", lambda: parrot.invoke("Hello there").usage_metadata["output_tokens"])
note("stream", lambda: streamed("Hello there", parrot).content)
note("tools", lambda: [[call["name"], call["args"], bool(call["id"])] for call in bound.invoke(CALL).tool_calls])
note("tools_stream", lambda: [[call["name"], call["args"]] for call in streamed(CALL, bound).tool_calls])
note("shape", lambda: lively.with_structured_output(Answer).invoke("Hello").model_dump())
note(
    "shape_tool", lambda: lively.with_structured_output(Answer, method="function_calling").invoke("Hello").model_dump()
)
completer = OpenAI(base_url=f"{url}/v1", api_key=token, model=echo, max_tokens=10, temperature=0)
note("complete", lambda: completer.invoke("Hello"))
note("complete_stream", lambda: "".join(completer.stream("Hello")))
note("responses", lambda: model(echo, max_tokens=16, use_responses_api=True).invoke("Hello there, you all").text[:11])
note("bad", lambda: model(echo, temperature=-3).invoke("x"))
note("unknown", lambda: model("no/such").invoke("x"))
finish()
