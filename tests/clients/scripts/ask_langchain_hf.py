"""langchain-huggingface: invoke, stream and tools; the environment says which version this is."""

from importlib.metadata import version

from langchain_huggingface import ChatHuggingFace, HuggingFaceEndpoint

from report import CALL, TOOL, chat, echo, finish, found, note, token, url

found["version"] = version("langchain-huggingface")
old = found["version"].startswith("0.")


def endpoint(model, **more):
    # The token goes along with `model`, which may be a URL; with `endpoint_url` 1.2.2 and newer keep it to themselves.
    return HuggingFaceEndpoint(model=f"{url}/models/{model}", huggingfacehub_api_token=token, **more)


# LangChain always sends temperature and top_p, which switch sampling on: the echo model then mixes its letters.
parrot = endpoint(echo, max_new_tokens=10)
talker = endpoint(chat, max_new_tokens=6, temperature=0.01)
note("invoke", lambda: sorted(parrot.invoke("Hello")))
note("invoke_real", lambda: talker.invoke("def hello"))
note("again", lambda: talker.invoke("def hello") == talker.invoke("def hello"))
note("stream", lambda: [len(piece) for piece in parrot.stream("Hello")])
note("stop", lambda: parrot.invoke("aaab", stop=["b"]))
note("batch", lambda: [len(text) for text in parrot.batch(["Hello", "World"])])
note("bad", lambda: endpoint(echo, max_new_tokens=100_000).invoke("x"))
if old:
    note("bad_token", lambda: HuggingFaceEndpoint(model=f"{url}/models/{echo}", huggingfacehub_api_token="hf_wrong"))
if not old:
    speaker = ChatHuggingFace(llm=endpoint(echo, max_new_tokens=11, temperature=None, top_p=None), temperature=0.0)
    plain = endpoint(echo, max_new_tokens=len(CALL), temperature=None, top_p=None)
    caller = ChatHuggingFace(llm=plain, temperature=0.0, max_tokens=len(CALL))
    note("chat", lambda: speaker.invoke("Hello there", max_tokens=11).content)
    note("chat_stream", lambda: "".join(piece.content for piece in speaker.stream("Hello there", max_tokens=11)))
    bound = caller.bind_tools([TOOL])
    note("tools", lambda: [[call["name"], call["args"], bool(call["id"])] for call in bound.invoke(CALL).tool_calls])

    def streamed_tools():
        whole = None
        for piece in bound.stream(CALL):
            whole = piece if whole is None else whole + piece
        return [[call["name"], call["args"]] for call in whole.tool_calls]

    note("tools_stream", streamed_tools)
    note(
        "bad_token",
        lambda: HuggingFaceEndpoint(model=f"{url}/models/{echo}", huggingfacehub_api_token="hf_wrong").invoke("x"),
    )
finish()
