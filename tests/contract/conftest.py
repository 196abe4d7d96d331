"""Models that the contract suites share: made once for each run of the tests."""

from pathlib import Path

import pytest

from tests.tiny_models import exported_tiny_llama


@pytest.fixture(scope="session")
def models_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def exported_llama(models_base: Path) -> Path:
    """The tiny Llama's fp16 export; its source is the folder `tiny-llama` beside it."""
    return exported_tiny_llama(models_base)
