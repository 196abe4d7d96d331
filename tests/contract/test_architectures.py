"""Every text architecture of the curated list through each engine: its greedy tokens are transformers' own."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.engine_scenes import HERE, forget_engines, generation, loaded, token_ids
from tests.tiny_models import build_tiny_llama, export_folder

NEW = 40
PROMPTS = [[0, 70, 85, 300, 41], [0, *range(100, 180)], [0, 5]]
_SHAPE = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 256,
    "bos_token_id": 0,
    "eos_token_id": 1,
}
_LLAMA_3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
# name -> (configuration class, model class, what is its own)
FAMILIES = {
    "llama-3": ("LlamaConfig", "LlamaForCausalLM", {"rope_theta": 500000.0, "rope_scaling": _LLAMA_3}),
    "code-llama": ("LlamaConfig", "LlamaForCausalLM", {"rope_theta": 1000000.0}),
    "mistral": ("MistralConfig", "MistralForCausalLM", {"sliding_window": 24, "head_dim": 32}),
    "mixtral": (
        "MixtralConfig",
        "MixtralForCausalLM",
        {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": None},
    ),
}
_BUILD = """
import json, sys
import torch, transformers

folder, config, kind, fields, prompts, new = sys.argv[1], sys.argv[2], sys.argv[3], *map(json.loads, sys.argv[4:])
torch.manual_seed(0)
model = getattr(transformers, kind)(getattr(transformers, config)(**fields)).to(torch.float16)
with torch.no_grad():
    for name, weight in model.named_parameters():
        if weight.dim() > 1:  # logits lie apart: greedy answers are stable
            weight.normal_(0, 1.0 if "embed" in name else weight.shape[-1] ** -0.5)
    model.lm_head.weight[:2] = 0  # special tokens are never the likeliest
model.save_pretrained(folder)
model = getattr(transformers, kind).from_pretrained(folder, dtype=torch.float32).eval()
answers = []
for prompt in prompts:
    ids = torch.tensor([prompt])
    out = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=new, do_sample=False, pad_token_id=0
    )
    answers.append(out[0, len(prompt):].tolist())
print(json.dumps(answers))
"""


def build(folder: Path, family: str) -> list[list[int]]:
    """Write the model's folder; what transformers answers to each prompt."""
    config, kind, own = FAMILIES[family]
    fields = json.dumps({**_SHAPE, **own})
    command = [sys.executable, "-c", _BUILD, str(folder), config, kind, fields, json.dumps(PROMPTS), str(NEW)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    answers: list[list[int]] = json.loads(done.stdout)
    return answers


@pytest.mark.parametrize("engine", HERE)
@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_tokens_are_those_of_transformers(engine: str, family: str, tmp_path: Path) -> None:
    tokenizer = build_tiny_llama(tmp_path / "tokenizer")
    source = tmp_path / family
    expected = build(source, family)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tokenizer / name, source / name)
    (source / "chat_template.jinja").write_text("{{ messages[0].content }}")
    forget_engines()
    files = source
    if engine == "openvino":
        files = export_folder(source, tmp_path / "exported")
        assert (files / "chat_template.jinja").read_text() == "{{ messages[0].content }}"
    bench = loaded(engine, files, precision="exact")
    for prompt, answer in zip(PROMPTS, expected, strict=True):
        assert len(answer) == NEW
        assert token_ids(bench.run(generation(ids=prompt, new=NEW))) == answer
