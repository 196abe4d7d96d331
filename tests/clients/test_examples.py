"""The examples whose packages are not Pronto's own, each in its client's environment; tests/e2e runs the others."""

import json
from pathlib import Path

import pytest

from tests.clients.conftest import CHAT

EXAMPLES = Path(__file__).parents[2] / "examples"
RUN_IN = {
    "openai_stream.py": "openai",
    "langchain_chat.py": "langchain-openai",
    "llama_index_chat.py": "llama-index-openai",
    "inference.mjs": "js-4.13.30",
    # The newest huggingface_hub is here, and an older one in Pronto's own environment.
    "generate.py": "hub-2.4.0",
    "llama2_prompt.py": "hub-2.4.0",
}


@pytest.mark.parametrize("example", RUN_IN)
def test_an_example_runs(clients, example):
    assert clients.run(RUN_IN[example], EXAMPLES / example, PRONTO_MODEL=CHAT).strip()


def test_the_settings_of_vs_code_are_json():
    settings = json.loads((EXAMPLES / "vscode_settings.json").read_text())
    assert all(name.startswith("llm.") for name in settings)
