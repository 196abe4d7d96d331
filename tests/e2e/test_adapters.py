"""A LoRA adapter as an operator adds it and a client asks for it: by the command line, and over HTTP."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.e2e.http import post
from tests.e2e.server import PRONTO, Server, make_account, run_cli
from tests.hub_stand_in import Repository, hub_stand_in
from tests.tiny_models import build_tiny_llama

BASE, LORA = "tiny/base", "tiny/lora"


def build_adapter(folder: Path, hidden: int = 64, layers: int = 2, rank: int = 4) -> Path:
    """A random adapter of the attention's outputs, strong enough to be noticed."""
    folder.mkdir()
    random, tensors = np.random.default_rng(1), {}
    for layer in range(layers):
        name = f"base_model.model.model.layers.{layer}.self_attn.o_proj"
        tensors[f"{name}.lora_A.weight"] = random.standard_normal((rank, hidden), np.float32)
        tensors[f"{name}.lora_B.weight"] = random.standard_normal((hidden, rank), np.float32)
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": rank, "target_modules": ["o_proj"], "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder, data = tmp_path_factory.mktemp("lora"), tmp_path_factory.mktemp("data")
    token = make_account(data, "alice")
    run_cli(data, "models", "add", BASE, "--source", str(build_tiny_llama(folder / "base")), "--default")
    adapter = build_adapter(folder / "adapter")
    run_cli(data, "models", "add", LORA, "--base", BASE, "--adapter", str(adapter), "--alias", "my-lora")
    for model in (BASE, LORA):
        run_cli(data, "models", "pull", model)
    running = Server(data)
    running.token = token
    yield running
    assert running.stop() == 0


def ask(server: Server, model: str, adapter: str | None = None, path: str = "/models/{}", **more):
    parameters = {"max_new_tokens": 20, "return_full_text": False, "adapter_id": adapter}
    body = {"inputs": "class Point:", "parameters": parameters, **more}
    status, _, text = post(server.url, path.format(model), body, server.token, X_Wait_For_Model="true")
    return status, json.loads(text)


def test_an_adapter_answers_in_the_place_of_its_base(server):
    status, plain = ask(server, BASE)
    assert status == 200, plain
    status, adapted = ask(server, LORA)
    assert status == 200, adapted
    assert adapted != plain
    for asked, name in ((BASE, LORA), (BASE, "my-lora"), (LORA, LORA)):
        assert ask(server, asked, name) == (200, adapted)
    assert ask(server, BASE, LORA, "/generate") == (200, adapted[0])
    assert ask(server, BASE) == (200, plain)


@pytest.mark.parametrize("path", ["/models/{}", "/generate", "/models/{}/generate_stream"])
def test_an_unknown_adapter_is_never_the_base(server, path):
    status, answer = ask(server, BASE, "no/such", path)
    assert status == 404
    assert f"Model {BASE} has no adapter no/such" in answer["error"]


def test_the_command_line_says_what_is_wrong(server, tmp_path):
    config = json.dumps({"peft_type": "LORA", "r": 4, "lora_alpha": 4, "use_dora": True})
    (tmp_path / "adapter_config.json").write_text(config)
    for options, says in (
        (["--base", BASE, "--adapter", str(tmp_path)], "`use_dora` is more than plain LoRA"),
        (["--base", "no/such", "--adapter", str(tmp_path)], "no/such does not exist"),
        (["--base", LORA, "--adapter", str(tmp_path)], "has an adapter itself"),
        (["--base", BASE], "--source, or --base and --adapter"),
        ([], "--source, or --base and --adapter"),
    ):
        done = run_cli(server.data_dir, "models", "add", "tiny/other", *options, check=False)
        assert done.returncode == 1
        assert says in " ".join(done.stderr.replace("│", " ").split())
    rows = server.models()
    assert "tiny/other" not in rows
    assert (rows[LORA]["base"], rows[LORA]["plan"]) == (BASE, "free")


def test_base_and_adapter_come_from_the_hub(tmp_path):
    base, adapter = build_tiny_llama(tmp_path / "base"), build_adapter(tmp_path / "adapter")
    with hub_stand_in() as hub:
        for name, folder, commit in (("tiny/hub", base, "a" * 40), ("tiny/lora", adapter, "b" * 40)):
            files = {path.name: path.read_bytes() for path in folder.iterdir()}
            hub.repositories[name] = Repository(files, commit=commit)

        def pronto(*arguments: str) -> None:
            environment = {**os.environ, "PRONTO_HUB_ENDPOINT": hub.url}
            command = [*PRONTO, "models", *arguments, "--data-dir", str(tmp_path / "data")]
            subprocess.run(command, env=environment, check=True, capture_output=True, timeout=200)

        pronto("add", BASE, "--source", "tiny/hub")
        pronto("add", LORA, "--base", BASE, "--adapter", "tiny/lora@main")
        pronto("pull", LORA)
    data = tmp_path / "data"
    assert (data / "models" / "tiny--base" / ("a" * 40) / "model.safetensors").is_file()
    assert (data / "models" / "tiny--lora" / ("b" * 40) / "adapter_model.safetensors").is_file()
    [export] = (data / "exports" / "tiny--lora").glob("*/pronto.json")
    assert "adapter_model.safetensors" in json.loads(export.read_text())["origin"]["source"]
