"""LoRA adapters: added into a tiny model's weights at its export; its greedy tokens are those of merged weights."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pronto.engines.openvino_llm import OpenVinoEngine
from tests.contract.engine_scenes import Bench, generation, load, model, token_ids
from tests.tiny_models import export_folder

NEW = 40
PROMPTS = [[0, 70, 85, 300, 41], [0, *range(100, 140)], [0, 5]]
CONFIG = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "r": 4,
    "lora_alpha": 12,
    "use_rslora": True,
    "bias": "none",
    "target_modules": ["q_proj", "v_proj", "down_proj"],
    "fan_in_fan_out": False,
    "init_lora_weights": True,
    "modules_to_save": None,
}
# The adapter is made, and merged for the reference, by the formula of PEFT's documentation, not by our code.
_BUILD = """
import json, math, sys
import torch, transformers
from safetensors.torch import save_file

base, adapter, config, prompts, new = sys.argv[1], sys.argv[2], *map(json.loads, sys.argv[3:])
torch.manual_seed(0)
shape = transformers.LlamaConfig(
    vocab_size=512, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=256, bos_token_id=0, eos_token_id=1, tie_word_embeddings=False,
)
model = transformers.LlamaForCausalLM(shape).to(torch.float16)
with torch.no_grad():
    for name, weight in model.named_parameters():
        if weight.dim() > 1:  # logits lie apart: greedy answers are stable
            weight.normal_(0, 1.0 if "embed" in name else weight.shape[-1] ** -0.5)
    model.lm_head.weight[:2] = 0
model.save_pretrained(base)


def answer(model):
    model, told = model.to(torch.float32).eval(), []
    for prompt in prompts:
        ids = torch.tensor([prompt])
        more = {"max_new_tokens": new, "do_sample": False, "pad_token_id": 0}
        out = model.generate(ids, attention_mask=torch.ones_like(ids), **more)
        told.append(out[0, len(prompt):].tolist())
    return told


plain = answer(transformers.LlamaForCausalLM.from_pretrained(base))
model = transformers.LlamaForCausalLM.from_pretrained(base)
scale = config["lora_alpha"] / math.sqrt(config["r"])
tensors = {}
for name, layer in model.named_modules():
    if name.rpartition(".")[2] in config["target_modules"]:
        rows, columns = layer.weight.shape
        a, b = torch.randn(config["r"], columns) / columns**0.5, torch.randn(rows, config["r"]) / 4
        tensors[f"base_model.model.{name}.lora_A.weight"], tensors[f"base_model.model.{name}.lora_B.weight"] = a, b
        layer.weight.data = (layer.weight.double() + scale * (b.double() @ a.double())).half()
import os
os.makedirs(adapter)
save_file(tensors, f"{adapter}/adapter_model.safetensors")
json.dump(config, open(f"{adapter}/adapter_config.json", "w"))
print(json.dumps([plain, answer(model)]))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, exported_llama: Path) -> tuple[Path, list[Any]]:
    """The folder of base and adapter, and what transformers says without and with the adapter."""
    folder = tmp_path_factory.mktemp("adapter")
    base, adapter = folder / "base", folder / "adapter"
    given = [json.dumps(value) for value in (CONFIG, PROMPTS, NEW)]
    command = [sys.executable, "-c", _BUILD, str(base), str(adapter), *given]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (base / name).write_bytes((exported_llama.parent / "tiny-llama" / name).read_bytes())
    return folder, json.loads(done.stdout)


def test_a_model_with_an_adapter_says_what_its_merged_weights_say(built: tuple[Path, list[Any]]) -> None:
    folder, (plain, merged) = built
    assert all(one != other for one, other in zip(plain, merged, strict=True))
    target = export_folder(folder / "base", folder / "exported", adapter=folder / "adapter")
    origin = json.loads((target / "pronto.json").read_text())["origin"]
    assert {"adapter_config.json", "adapter_model.safetensors"} <= origin["source"].keys()
    engine = OpenVinoEngine()
    load(engine, model("openvino", target, precision="exact"))
    bench = Bench(engine)
    for prompt, expected in zip(PROMPTS, merged, strict=True):
        assert token_ids(bench.run(generation(ids=prompt, new=NEW))) == expected


_REFUSED = """
import sys
from pathlib import Path
import torch, transformers
from safetensors.torch import load_file, save_file
from pronto.engines.text.lora import merge

base, adapter = map(Path, sys.argv[1:])
file = adapter / "adapter_model.safetensors"
tensors = load_file(file)
layer = "base_model.model.model.layers.0.self_attn.q_proj"
whole = tensors[f"{layer}.lora_A.weight"]


def said(changed, tied=False):
    save_file(changed, file)
    model = transformers.LlamaForCausalLM.from_pretrained(base)
    if tied:
        model.lm_head.weight = model.model.embed_tokens.weight
    try:
        merge(model, adapter)
    except ValueError as error:
        return str(error)
    return ""


print(said({name: tensor for name, tensor in tensors.items() if "lora_B" in name}))
print(said(tensors | {"base_model.model.lm_head.weight": whole.clone()}))
print(said(tensors | {f"{layer}.lora_A.weight": whole[:2].contiguous()}))
print(said(tensors | {f"{layer}.lora_A.weight": whole[:, :8].contiguous()}))
print(said(tensors | {f"{layer}.lora_A.weight": whole * float("nan")}))
print(said({name.replace("q_proj", "odd_proj"): tensor for name, tensor in tensors.items()}))
head = {"A": torch.ones(4, 64), "B": torch.ones(512, 4)}
head = {f"base_model.model.lm_head.lora_{side}.weight": tensor for side, tensor in head.items()}
print(said(head, tied=True))
print(said(head))
"""


SAYS = (
    "only one of the two matrices",
    "more than plain LoRA",
    "do not have the rank 4",
    "of another size than the model's",
    "no numbers",
    "`model.layers.0.self_attn.odd_proj`, which is no layer",
    "shares its weights with the model's embedding",
    "",
)


def test_what_is_not_plain_lora_is_refused_by_name(built: tuple[Path, list[Any]], tmp_path: Path) -> None:
    folder, _ = built
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    for path in (folder / "adapter").iterdir():
        (adapter / path.name).write_bytes(path.read_bytes())
    command = [sys.executable, "-c", _REFUSED, str(folder / "base"), str(adapter)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    for sentence, words in zip(done.stdout.splitlines(), SAYS, strict=True):
        assert words in sentence
    assert sentence == ""  # a head of its own may be changed


def test_an_export_refuses_an_adapter_without_whole_weights(built: tuple[Path, list[Any]], tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "adapter_model.bin").write_bytes(b"pickled")
    with pytest.raises(RuntimeError, match="Pickled adapters are never opened"):
        export_folder(built[0] / "base", tmp_path / "target", adapter=tmp_path)
    assert not (tmp_path / "target").exists()
