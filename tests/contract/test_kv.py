"""The arithmetic of the KV cache against what each engine says of its own."""

import json
from pathlib import Path

import pytest

from pronto.core.kv import kv_values
from tests.contract.engine_scenes import HERE, loaded


@pytest.mark.parametrize("name", HERE)
def test_a_token_takes_what_the_engine_says(name: str, files_of) -> None:
    files: Path = files_of(name)
    config = json.loads((files / "config.json").read_text())
    bench = loaded(name, files, precision="exact", kv_cache_mb=16)
    if name == "openvino":
        told = bench.engine._pipeline.get_metrics().cache_size_in_bytes
        assert told == bench.capabilities.kv_tokens * kv_values(config) * 4
    else:
        cache = bench.engine._scheduler.kv_cache_config
        spec = cache.kv_cache_groups[0].kv_cache_spec
        assert spec.page_size_bytes * config["num_hidden_layers"] == kv_values(config) * 4 * spec.block_size
        assert bench.capabilities.kv_tokens == (cache.num_blocks - 1) * spec.block_size
