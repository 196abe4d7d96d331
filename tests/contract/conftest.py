"""Models that the contract suites share: made once for each run of the tests."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pronto.engines import registry
from tests.contract.engine_scenes import HERE, OWN_HEAD
from tests.tiny_models import build_tiny_llama, exported_tiny_llama

if "openvino" in HERE:  # vLLM's interpreter has not all that launchers need
    from tests.contract.launchers import launcher, processes  # noqa: F401  because they are fixtures

# vLLM reads its environment when it is imported. Of a worker, the launcher sets it.
os.environ.update(registry.entry("vllm").environment)

collect_ignore = ["test_engine_openvino.py"] if "openvino" not in HERE else []
collect_ignore += ["test_engine_vllm.py", "test_grammar_vllm.py"] if "vllm" not in HERE else []


@pytest.fixture(autouse=True)
def _hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """An export in the tests' own process keeps its libraries from the Hub; other tests ask a stand-in for it."""
    constants = sys.modules.get("huggingface_hub.constants")
    if constants is not None:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


@pytest.fixture(scope="session")
def models_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def exported_llama(models_base: Path) -> Path:
    """The tiny Llama's fp16 export; its source is the folder `tiny-llama` beside it."""
    return exported_tiny_llama(models_base)


@pytest.fixture(scope="session")
def source_llama(models_base: Path) -> Path:
    """The tiny Llama as it is published."""
    folder = models_base / "tiny-llama"
    return folder if folder.exists() else build_tiny_llama(folder)


@pytest.fixture(scope="session")
def published_llama(models_base: Path) -> Path:
    """A tiny Llama as it is published: what vLLM loads."""
    return build_tiny_llama(models_base / "published-llama", head=OWN_HEAD)


@pytest.fixture(scope="session")
def files_of(request: pytest.FixtureRequest) -> Callable[[str], Path | None]:
    """What an engine of some name loads of the tiny Llama."""
    fixtures = {"openvino": "exported_llama", "vllm": "published_llama", "transformers": "source_llama"}
    return lambda name: request.getfixturevalue(fixtures[name]) if name in fixtures else None
