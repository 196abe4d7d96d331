"""The arithmetic of sizes, against the numbers that are published of the models themselves."""

import pytest

from pronto.catalog import entries, sizing
from pronto.core.tasks import Task

# As the Hub shows them, by the models' safetensors files.
PUBLISHED = {
    "meta-llama/Meta-Llama-3-8B-Instruct": (8_030_261_248, 128),
    "meta-llama/Meta-Llama-3-70B-Instruct": (70_553_706_496, 320),
    "mistralai/Mixtral-8x7B-Instruct-v0.1": (46_702_792_704, 128),
    "mistralai/Mistral-7B-Instruct-v0.2": (7_241_732_096, 128),
    "meta-llama/Llama-2-7b-chat-hf": (6_738_415_616, 512),
    "meta-llama/Llama-2-13b-chat-hf": (13_015_864_320, 800),
    "codellama/CodeLlama-34b-Instruct-hf": (33_743_970_304, 192),
    "HuggingFaceTB/SmolLM2-135M-Instruct": (134_515_008, 22.5),
    "Qwen/Qwen2.5-0.5B-Instruct": (494_032_768, 12),
    "TinyLlama/TinyLlama-1.1B-Chat-v1.0": (1_100_048_384, 22),
}


@pytest.mark.parametrize("id", PUBLISHED)
def test_parameters_and_cache_are_the_published_ones(id: str) -> None:
    shape = sizing.published()[id]
    assert (shape.parameters, shape.kv_bytes / 1024) == PUBLISHED[id]


def test_every_curated_text_model_has_a_shape() -> None:
    curated = [entries.to_entry(table) for table in entries.curated().tables]
    wanted = {entry.id for entry in curated if entry.task is Task.TEXT_GENERATION and entry.repo is not None}
    assert sizing.published().keys() == wanted


def test_llama_3_on_an_h200_by_hand() -> None:
    shape = sizing.published()["meta-llama/Meta-Llama-3-8B-Instruct"]
    found = sizing.fit(shape, "H200", count=1, precision="bf16", context=8192)
    assert found.weight_bytes == 2 * 8_030_261_248
    assert found.room_bytes == int(143771 * 2**20 * 0.9) - 2 * 2**30 - found.weight_bytes
    assert found.tokens == found.room_bytes // 131072
    assert found.streams == 109
    assert "109 streams of a whole context" in sizing.describe(found)


def test_what_does_not_fit_says_by_how_much() -> None:
    shape = sizing.published()["meta-llama/Meta-Llama-3-70B-Instruct"]
    alone = sizing.fit(shape, "H100", count=1, precision="bf16", context=8192)
    assert not alone.fits
    assert "does not fit" in sizing.describe(alone)
    assert "GB too much" in sizing.describe(alone)
    assert sizing.smallest(shape, "H100", precision="bf16", context=8192).count == 2
    assert sizing.smallest(shape, "H200", precision="fp8", context=8192).count == 1
    tight = sizing.fit(shape, "H200", count=1, precision="fp8", context=10**6)
    assert "less than one context" in sizing.describe(tight)


def test_heads_are_kept_more_than_once_where_there_are_fewer_than_gpus() -> None:
    shape = sizing.published()["Qwen/Qwen2.5-0.5B-Instruct"]
    one, eight = (sizing.fit(shape, "L4", count=count, precision="bf16", context=1024) for count in (1, 8))
    assert eight.kv_bytes == 4 * one.kv_bytes


@pytest.mark.parametrize(("gpu", "precision"), [("H300", "bf16"), ("H200", "int3")])
def test_what_is_not_known_is_named(gpu: str, precision: str) -> None:
    shape = sizing.published()["Qwen/Qwen2.5-0.5B-Instruct"]
    with pytest.raises(ValueError, match="Please choose one of"):
        sizing.fit(shape, gpu, count=1, precision=precision, context=10)


def test_a_config_without_a_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="does not tell its shape"):
        sizing.read_shape({"hidden_size": 64})
