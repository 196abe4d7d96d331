"""What is read of an encoder's folder, and how its inputs are put together."""

import json
from pathlib import Path
from typing import Any

import pytest

from pronto.engines.encoders.graph import groups
from pronto.engines.encoders.recipe import encoder_root, read_recipe

TRANSFORMER = {"type": "sentence_transformers.models.Transformer", "path": ""}
POOLING = {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}


def write(folder: Path, files: dict[str, Any]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    return folder


def test_an_old_folder_with_the_encoder_beneath(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        {
            "modules.json": [
                {**TRANSFORMER, "path": "0_Transformer"},
                POOLING,
                {"type": "sentence_transformers.models.Dropout", "path": "2_Dropout"},
                {"type": "sentence_transformers.models.Dense", "path": "3_Dense"},
                {"type": "sentence_transformers.models.Normalize", "path": "4_Normalize"},
            ],
            "0_Transformer/config.json": {"model_type": "roberta", "max_position_embeddings": 514},
            "0_Transformer/sentence_bert_config.json": {"max_seq_length": 128, "do_lower_case": True},
            "1_Pooling/config.json": {"pooling_mode_cls_token": True, "pooling_mode_max_tokens": True},
            "3_Dense/config.json": {"activation_function": "torch.nn.modules.activation.Tanh"},
            "config_sentence_transformers.json": {"prompts": {"q": "query: "}, "default_prompt_name": "q"},
        },
    )
    recipe = read_recipe(folder)
    assert (recipe.root, recipe.max_tokens, recipe.lowers) == ("0_Transformer", 128, True)
    assert recipe.modes == ("cls", "max")
    assert [(layer.kind, layer.folder, layer.activation) for layer in recipe.layers] == [
        ("dense", "3_Dense", "tanh"),
        ("normalize", "", ""),
    ]
    assert (recipe.prompts, recipe.default_prompt) == ({"q": "query: "}, "q")
    assert encoder_root(folder) == folder / "0_Transformer"


@pytest.mark.parametrize(
    ("config", "tokenizer", "length"),
    [
        ({"model_type": "bert", "max_position_embeddings": 512}, {"model_max_length": 10**30}, 512),
        ({"model_type": "xlm-roberta", "max_position_embeddings": 514}, {"model_max_length": 512}, 512),
        ({"model_type": "roberta", "max_position_embeddings": 514}, {}, 512),
        ({"model_type": "bert", "max_position_embeddings": 512}, {"model_max_length": 128}, 128),
        ({}, {}, 512),
    ],
)
def test_lengths(tmp_path: Path, config: dict[str, Any], tokenizer: dict[str, Any], length: int) -> None:
    recipe = read_recipe(write(tmp_path, {"config.json": config, "tokenizer_config.json": tokenizer}))
    assert (recipe.max_tokens, recipe.is_sentence_model) == (length, False)


@pytest.mark.parametrize(
    ("modules", "words"),
    [
        ([TRANSFORMER, {"type": "sentence_transformers.models.LSTM", "path": "1_LSTM"}], "lstm"),
        ([{"type": "sentence_transformers.models.WordEmbeddings", "path": "0"}], "begin with one encoder"),
        ([TRANSFORMER, {**TRANSFORMER, "path": "1_T"}], "begin with one encoder"),
        ([TRANSFORMER, {**POOLING, "path": "../../etc"}], "outside"),
        ([{**TRANSFORMER, "path": "/etc"}], "outside"),
        ({"a": 1}, "not a list"),
        ([{"path": ""}], "not a list"),
    ],
)
def test_what_is_not_served_is_named(tmp_path: Path, modules: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_recipe(write(tmp_path, {"modules.json": modules}))


def test_an_unknown_pooling_is_named(tmp_path: Path) -> None:
    files = {"modules.json": [TRANSFORMER, POOLING], "1_Pooling/config.json": {"pooling_mode": "swirl"}}
    with pytest.raises(ValueError, match="swirl"):
        read_recipe(write(tmp_path, files))


def test_groups_have_little_padding_and_lose_nobody() -> None:
    lengths = [5, 200, 7, 190, 64, 60, 6, 250, 5, 61]
    found = list(groups(lengths, waste=0.12, least=64))
    assert sorted(index for group in found for index in group) == list(range(len(lengths)))
    for group in found:
        padded = max(lengths[index] for index in group) * len(group)
        assert padded <= 64 or sum(lengths[index] for index in group) >= 0.85 * padded
    assert found[0] == [7, 1]


def test_short_ones_go_together_whatever_their_length() -> None:
    assert list(groups([3, 30, 9], waste=0.1, least=100)) == [[1, 2, 0]]
    assert list(groups([], waste=0.1, least=100)) == []
