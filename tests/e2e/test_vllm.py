"""vLLM behind the whole server: every dialect says what it says with OpenVINO, and what only vLLM can do works."""

import json
import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import VLLM_PYTHON
from tests.e2e.http import eventually, frames, get, post
from tests.e2e.server import Server, make_account, run_cli
from tests.tiny_models import build_tiny_llama

pytestmark = pytest.mark.timeout(300)
CHAT = "{% for message in messages %}{{ message.content }} {% endfor %}"
TEXT = "The quick brown fox"


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """One server, the same model on each engine, exact: the same tokens whoever makes them."""
    folder = tmp_path_factory.mktemp("both")
    source, data = build_tiny_llama(folder / "llama", head=32, context=512), folder / "data"
    (source / "chat_template.jinja").write_text(CHAT)
    for engine in ("openvino", "vllm"):
        run_cli(
            data, "models", "add", f"tiny/{engine}", "--source", str(source), "--engine", engine, "--precision", "exact"
        )
    write_adapter(source, folder / "adapter")
    run_cli(data, "models", "add", "tiny/adapted", "--base", "tiny/vllm", "--adapter", str(folder / "adapter"))
    token = make_account(data, "vera")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRONTO_VLLM_PYTHON", str(VLLM_PYTHON))
        running = Server(data)
        running.token, running.source = token, source
        for engine in ("openvino", "vllm"):
            said(running, engine, max_new_tokens=2)
        yield running
        assert running.stop() == 0


def write_adapter(source: Path, folder: Path) -> None:
    """A LoRA adapter in PEFT's files that changes much."""
    import numpy
    from safetensors.numpy import load_file, save_file

    rng, tensors = numpy.random.default_rng(0), {}
    for name, weight in load_file(str(source / "model.safetensors")).items():
        if name.endswith(("q_proj.weight", "v_proj.weight")):
            rows, columns = weight.shape
            layer = f"base_model.model.{name.removesuffix('.weight')}"
            tensors[f"{layer}.lora_A.weight"] = rng.normal(size=(4, columns)).astype(numpy.float32)
            tensors[f"{layer}.lora_B.weight"] = rng.normal(size=(rows, 4)).astype(numpy.float32)
    folder.mkdir()
    save_file(tensors, str(folder / "adapter_model.safetensors"))
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 4, "lora_alpha": 8, "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps(config | {"target_modules": ["q_proj", "v_proj"]}))


def generate(server, engine, text=TEXT, *, stream=False, **parameters):
    body = {"inputs": text, "parameters": parameters, "stream": stream}
    return post(
        server.url, f"/models/tiny/{engine}", body, server.token, timeout=110, x_wait_for_model="1", x_use_cache="0"
    )


def said(server, engine, **parameters):
    status, _, text = generate(server, engine, **parameters)
    assert status == 200, text
    return json.loads(text)[0]


_MESSAGES = [{"role": "user", "content": TEXT}]
_TOOL = {"name": "now", "parameters": {"type": "object", "properties": {}, "additionalProperties": False}}
ASKED = {
    "hf": ("/models/{model}", {"inputs": TEXT, "parameters": {"details": True, "max_new_tokens": 12}}),
    "hf stream": ("/models/{model}", {"inputs": TEXT, "stream": True, "parameters": {"details": True, "stop": ["é"]}}),
    "hf penalties": ("/models/{model}", {"inputs": TEXT, "parameters": {"repetition_penalty": 1.3, "details": True}}),
    "completions": ("/v1/completions", {"prompt": TEXT, "max_tokens": 12, "temperature": 0, "logprobs": 0}),
    "chat": ("/v1/chat/completions", {"messages": _MESSAGES, "max_tokens": 12, "temperature": 0}),
    "chat stream": (
        "/v1/chat/completions",
        {"messages": _MESSAGES, "max_tokens": 12, "temperature": 0, "stream": True},
    ),
    "responses": ("/v1/responses", {"input": TEXT, "max_output_tokens": 16, "temperature": 0}),
    "anthropic": ("/v1/messages", {"messages": _MESSAGES, "max_tokens": 12, "temperature": 0}),
    "ollama": ("/api/generate", {"prompt": TEXT, "stream": False, "options": {"num_predict": 12, "temperature": 0}}),
}
# What differs from request to request, and log-probabilities, whose last digits are each library's own.
_OWN = re.compile(
    r'"(?:id|created|created_at|completed_at|\w*_duration|call_id|item_id)": ?(?:"[^"]*"|[\d.]+)'
    r"|tiny/\w+|-?\d+\.\d+(?:e-\d+)?"
)


@pytest.mark.parametrize("asked", ASKED)
def test_each_dialect_says_the_same_with_both_engines(both, asked):
    path, body = ASKED[asked]
    answers = []
    for engine in ("openvino", "vllm"):
        model = f"tiny/{engine}"
        status, _, text = post(
            both.url, path.format(model=model), {"model": model, **body}, both.token, x_use_cache="0", timeout=110
        )
        assert status == 200, text
        answers.append(_OWN.sub("~", text))
    assert answers[0] == answers[1]


def test_likely_tokens_come_where_openvino_refuses_them(both):
    details = said(both, "vllm", details=True, top_n_tokens=3, max_new_tokens=4)["details"]
    assert [len(tops) for tops in details["top_tokens"]] == [3] * 4
    assert [tops[0]["id"] for tops in details["top_tokens"]] == [token["id"] for token in details["tokens"]]
    status, _, text = generate(both, "openvino", details=True, top_n_tokens=3)
    assert status == 422
    assert "top_n_tokens" in text
    body = {"model": "tiny/vllm", "messages": _MESSAGES, "max_tokens": 3, "logprobs": True, "top_logprobs": 2}
    status, _, text = post(both.url, "/v1/chat/completions", body, both.token)
    assert status == 200
    assert [len(one["top_logprobs"]) for one in json.loads(text)["choices"][0]["logprobs"]["content"]] == [2] * 3


def test_a_schema_and_a_regex_shape_the_answer(both):
    schema = {"type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a"], "additionalProperties": False}
    texts = [
        said(
            both,
            "vllm",
            grammar={"type": "json", "value": schema},
            max_new_tokens=100,
            return_full_text=False,
            do_sample=True,
            seed=seed,
        )["generated_text"]
        for seed in range(6)
    ]
    assert all(text.startswith("{") for text in texts)
    # Random weights may well spend their tokens on spaces, which JSON allows anywhere.
    whole = [json.loads(text) for text in texts if text.endswith("}")]
    assert whole
    assert all(answer["a"] in (1, 2) for answer in whole)
    text = said(both, "vllm", grammar={"type": "regex", "value": "[0-9]{4}"}, return_full_text=False)
    assert re.fullmatch("[0-9]{4}", text["generated_text"])
    status, _, text = generate(both, "vllm", grammar={"type": "regex", "value": "[0-9"})
    assert status == 422
    assert "grammar is not valid: unclosed character class" in text


def test_a_forced_call_comes_as_a_call(both):
    body = {
        "model": "tiny/vllm",
        "messages": _MESSAGES,
        "max_tokens": 100,
        "tools": [{"type": "function", "function": _TOOL}],
        "tool_choice": {"type": "function", "function": {"name": "now"}},
    }
    ends = []
    for seed in range(6):
        status, _, text = post(both.url, "/v1/chat/completions", body | {"seed": seed}, both.token)
        assert status == 200, text
        choice = json.loads(text)["choices"][0]
        ends.append(choice["finish_reason"])
        if ends[-1] == "tool_calls" or choice["message"].get("tool_calls"):
            assert [call["function"]["name"] for call in choice["message"]["tool_calls"]] == ["now"]
    assert set(ends) - {"length"}


def test_an_adapter_is_named_by_the_request_and_shares_the_worker(both):
    before = set(both.children())
    plain = said(both, "vllm", max_new_tokens=12)
    adapted = said(both, "vllm", max_new_tokens=12, adapter_id="tiny/adapted")
    assert said(both, "adapted", max_new_tokens=12) == adapted != plain
    assert said(both, "vllm", max_new_tokens=12) == plain
    assert set(both.children()) == before
    assert both.models()["tiny/adapted"]["state"] == "loaded"
    status, _, text = generate(both, "vllm", decoder_input_details=True, details=True)
    assert status == 422
    assert "decoder_input_details" in text


def test_the_engine_and_its_reason_are_told(both):
    rows = both.models()
    assert (rows["tiny/vllm"]["engine"], rows["tiny/vllm"]["why"]) == ("vllm", "named in the catalog")
    assert rows["demo/tiny-coder"]["why"] == "its files are an OpenVINO export"
    info = json.loads(get(both.url, "/models/tiny/vllm/info")[1])
    assert (info["engine"], info["engine_reason"], info["model_device_type"]) == ("vllm", "named in the catalog", "cpu")
    assert "named in the catalog" in both.log.read_text()


def test_both_engines_are_measured_under_the_same_names(both):
    for engine in ("openvino", "vllm"):
        for _ in range(2):
            assert generate(both, engine, "word " * 200, max_new_tokens=3, stream=True)[0] == 200
    text = get(both.url, "/metrics")[1]
    found = {}
    for name, engine, value in re.findall(
        r'^(pronto_engine_\w+)\{engine="(\w+)",[^}]*model="tiny/\w+"\} (\S+)$', text, re.M
    ):
        found.setdefault(engine, {}).setdefault(name, float(value))
    names = {"pronto_engine_running", "pronto_engine_waiting", "pronto_engine_kv_cache_used"}
    names |= {
        f"pronto_engine_{kind}_{part}"
        for kind in ("first_token_seconds", "token_seconds")
        for part in ("count", "sum", "bucket")
    }
    assert names <= set(found["openvino"])
    assert set(found["vllm"]) == set(found["openvino"]) | {
        "pronto_engine_prefix_tokens_total",
        "pronto_engine_prefix_hits_total",
    }
    assert found["vllm"]["pronto_engine_prefix_hits_total"] >= 128
    assert found["vllm"]["pronto_engine_first_token_seconds_count"] >= 2


def test_a_killed_worker_is_noticed_at_once_and_comes_back(both):
    answer = {}

    def stream():
        answer["body"] = generate(both, "vllm", max_new_tokens=480, stream=True)
        answer["at"] = time.monotonic()

    reader = threading.Thread(target=stream)
    reader.start()
    worker = eventually(lambda: next((pid for pid in both.children() if is_vllm(pid)), None))
    time.sleep(0.3)
    os.kill(worker, signal.SIGKILL)
    killed = time.monotonic()
    reader.join(10)
    assert answer["at"] - killed < 2.0
    assert set(frames(answer["body"][2])[-1]) == {"error", "error_type"}
    # On a busy machine the new one takes longer than a plan lets requests wait.
    eventually(lambda: generate(both, "vllm", max_new_tokens=2)[0] == 200, timeout=200)
    again = next(pid for pid in both.children() if is_vllm(pid))
    assert again != worker


def is_vllm(pid: int) -> bool:
    command = Path(f"/proc/{pid}/cmdline").read_bytes()
    maps = Path(f"/proc/{pid}/maps").read_text() if b"abroad.py" in command else ""
    return "/torch/lib/" in maps


def test_what_cannot_run_is_refused_with_what_would_help(both, tmp_path):
    catalog = both.data_dir / "catalog.toml"
    entry = '\n[[models]]\nid = "tiny/{}"\nengine = "vllm"\nfolder = "{}"\n{}\n'
    missing = entry.format("missing", both.source, f'python = "{tmp_path / "none"}"')
    large = entry.format("large", both.source, "context = 511\nkv_cache_mb = 900000")
    with catalog.open("a") as file:
        file.write(missing + large)
    eventually(lambda: {"tiny/missing", "tiny/large"} <= both.models().keys())
    status, _, text = generate(both, "missing")
    assert status == 500
    assert "`scripts/setup-vllm` makes one" in text
    status, _, text = generate(both, "large")
    assert status == 500
    assert re.search(r"it needs about \d+ MB of memory, and all models together may use \d+ MB", text)
