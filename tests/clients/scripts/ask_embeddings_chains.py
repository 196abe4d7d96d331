"""The embeddings of LangChain and LlamaIndex by whichever of their packages is installed, and Ollama's own client."""

from importlib.util import find_spec

from report import finish, note, token, url

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
address = f"{url}/models/{MODEL}"


def has(name):
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # not even the package that it would be in
        return False


if has("langchain_openai"):
    from langchain_openai import OpenAIEmbeddings

    # With its check it would download a tokenizer of OpenAI's, and send ids that mean nothing here.
    def make():
        return OpenAIEmbeddings(base_url=f"{url}/v1", api_key=token, model=MODEL, check_embedding_ctx_length=False)
elif has("langchain_huggingface"):
    from langchain_huggingface import HuggingFaceEndpointEmbeddings

    def make():
        return HuggingFaceEndpointEmbeddings(model=address, huggingfacehub_api_token=token)
elif has("llama_index.embeddings.openai_like"):
    from llama_index.embeddings.openai_like import OpenAILikeEmbedding

    def make():
        return OpenAILikeEmbedding(api_base=f"{url}/v1", api_key=token, model_name=MODEL, max_retries=0)
elif has("llama_index.embeddings.huggingface_api"):
    from llama_index.embeddings.huggingface_api import HuggingFaceInferenceAPIEmbedding

    # Its connections end with the event loop of one call, so each call gets a new one.
    def make():
        return HuggingFaceInferenceAPIEmbedding(model_name=address, token=token)
else:
    from ollama import Client

    class make:
        def __init__(self):
            self.client = Client(host=url, headers={"Authorization": f"Bearer {token}"})

        def embed_query(self, text):
            return list(self.client.embeddings(model="all-minilm", prompt=text).embedding)

        def embed_documents(self, texts):
            return [list(one) for one in self.client.embed(model="all-minilm", input=texts).embeddings]


def ask_one(text):
    model = make()
    return (getattr(model, "embed_query", None) or model.get_text_embedding)(text)


def ask_many(texts):
    model = make()
    return (getattr(model, "embed_documents", None) or model.get_text_embedding_batch)(texts)


def shown(vector):
    return [len(vector), [float(value) for value in vector[:4]]]


note("one", lambda: shown(ask_one("hello")))
note("many", lambda: [shown(vector) for vector in ask_many(["hello", "bye"])])
finish()
