"""How each client gets here, with this server's address filled in. docs/clients.md says more of each."""

from string import Template

import msgspec


class ClientWay(msgspec.Struct, frozen=True):
    """A client and what one writes for it."""

    name: str
    text: str
    code: str


_WAYS = (
    (
        "curl",
        "Anything that sends HTTP.",
        """curl $address/models/$model \\
  -H "Authorization: Bearer $$PRONTO_TOKEN" -H "x-wait-for-model: 1" \\
  -d '{"inputs": "Hello"}'""",
    ),
    (
        "huggingface_hub",
        "Any version: the address of the model is the model.",
        """from huggingface_hub import InferenceClient

client = InferenceClient(model="$address/models/$model", token="hf_...")
print(client.text_generation("Hello", max_new_tokens=20))""",
    ),
    (
        "huggingface_hub up to 0.27",
        "One variable of the environment, and nothing else changes.",
        "export HF_INFERENCE_ENDPOINT=$address",
    ),
    (
        "hf auth login",
        "Signs in here rather than at the Hub. A code appears, which you confirm in the browser.",
        "HF_ENDPOINT=$address hf auth login",
    ),
    (
        "openai",
        "And everything that is made with it: give it the address with /v1.",
        """from openai import OpenAI

client = OpenAI(base_url="$address/v1", api_key="hf_...")
answer = client.chat.completions.create(
    model="$model",
    messages=[{"role": "user", "content": "Hello"}],
)
print(answer.choices[0].message.content)""",
    ),
    (
        "openai, by the environment",
        "For programs that take their address from there.",
        "export OPENAI_BASE_URL=$address/v1\nexport OPENAI_API_KEY=hf_...",
    ),
    (
        "anthropic",
        "The messages API.",
        """from anthropic import Anthropic

client = Anthropic(base_url="$address", api_key="hf_...")
answer = client.messages.create(
    model="$model",
    max_tokens=100,
    messages=[{"role": "user", "content": "Hello"}],
)
print(answer.content[0].text)""",
    ),
    (
        "@huggingface/inference",
        "JavaScript and TypeScript.",
        """import { InferenceClient } from "@huggingface/inference";

const client = new InferenceClient("hf_...", { endpointUrl: "$address/models/$model" });
console.log(await client.textGeneration({ inputs: "Hello" }));""",
    ),
    (
        "LangChain",
        "By OpenAI's format.",
        """from langchain_openai import ChatOpenAI

chat = ChatOpenAI(base_url="$address/v1", api_key="hf_...", model="$model")
print(chat.invoke("Hello").content)""",
    ),
    (
        "LlamaIndex",
        "By OpenAI's format.",
        """from llama_index.llms.openai_like import OpenAILike

llm = OpenAILike(api_base="$address/v1", api_key="hf_...", model="$model", is_chat_model=True)
print(llm.complete("Hello"))""",
    ),
    (
        "llm-vscode",
        "Completion while you type, in Visual Studio Code.",
        """{
  "llm.backend": "huggingface",
  "llm.url": "$address",
  "llm.modelId": "$model"
}""",
    ),
    (
        "chat-ui, Open WebUI and others",
        "Programs that ask for an OpenAI address.",
        "OPENAI_BASE_URL=$address/v1\nOPENAI_API_KEY=hf_...",
    ),
    ("Ollama's clients", "Give them this address in the place of localhost:11434.", "export OLLAMA_HOST=$address"),
)


def ways(address: str, model: str) -> list[ClientWay]:
    """All of them, for a server and one of its models."""
    values = {"address": address, "model": model}
    return [ClientWay(name, text, Template(code).substitute(values)) for name, text, code in _WAYS]
