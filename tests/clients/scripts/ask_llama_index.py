"""LlamaIndex by either of its packages: complete, chat, and both as streams."""

from importlib.util import find_spec

from llama_index.core.llms import ChatMessage

from report import chat, echo, finish, note, token, url

if find_spec("llama_index.llms.openai_like"):
    from llama_index.llms.openai_like import OpenAILike

    def model(name, length, is_chat=True, **more):
        return OpenAILike(
            api_base=f"{url}/v1", api_key=token, model=name, max_tokens=length, is_chat_model=is_chat,
            temperature=0.0, max_retries=0, context_window=256, **more,
        )  # fmt: skip
else:
    from llama_index.llms.huggingface_api import HuggingFaceInferenceAPI

    def model(name, length, is_chat=True, **more):
        task = "conversational" if is_chat else "text-generation"
        options = {"num_output": length, "temperature": 0.01, "task": task, **more}
        return HuggingFaceInferenceAPI(model_name=f"{url}/models/{name}", token=token, **options)


messages = [ChatMessage(role="system", content="Be brief."), ChatMessage(role="user", content="Hello there")]
parrot, talker, completer = model(echo, 11), model(chat, 6), model(echo, 10, is_chat=False)


def last(pieces):
    *_, final = pieces
    return final


note("chat", lambda: parrot.chat(messages).message.content)
note("chat_real", lambda: talker.chat(messages).message.content)
note("stream_chat", lambda: last(parrot.stream_chat(messages)).message.content)
note("deltas", lambda: "".join(piece.delta or "" for piece in parrot.stream_chat(messages)))
note("complete", lambda: completer.complete("Hello").text)
note("stream_complete", lambda: last(completer.stream_complete("Hello")).text)
note("unknown", lambda: model("no/such", 4).chat(messages))
finish()
