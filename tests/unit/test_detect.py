"""What a model's files say of it, and what is refused before anything is opened."""

import json
import struct
from pathlib import Path

import pytest

from pronto.catalog.detect import context_of, detect, size_text
from pronto.catalog.sources import Description, describe_folder
from pronto.core.files import is_safe_name, served_files
from pronto.core.tasks import Task
from tests.tiny_models import build_tiny_llama

LLAMA = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "max_position_embeddings": 8192}


def write_weights(path: Path, shapes: dict[str, list[int]]) -> None:
    """A safetensors file with a true header; the tensors themselves are zeros."""
    offset, header = 0, {"__metadata__": {"format": "pt"}}
    for name, shape in shapes.items():
        size = 2
        for length in shape:
            size *= length
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(offset))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A Llama of 600 parameters."""
    write_weights(tmp_path / "model.safetensors", {"a": [10, 20], "b": [20, 20]})
    put(tmp_path, "config.json", LLAMA)
    return tmp_path


def put(folder: Path, name: str, value: object) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(value))


def test_a_llama(folder: Path) -> None:
    found = detect(describe_folder(folder))
    assert (found.task, found.engine, found.architecture) == (Task.TEXT_GENERATION, "openvino", "LlamaForCausalLM")
    assert (found.context, found.parameters, found.size) == (8192, 600, "0.6K")


def test_the_tiny_llama_that_other_tests_use(tmp_path: Path) -> None:
    found = detect(describe_folder(build_tiny_llama(tmp_path / "llama", context=256)))
    assert (found.engine, found.context) == ("openvino", 256)
    assert found.parameters == 2 * 512 * 64 + 2 * (2 * 64 + 3 * 64 * 64 + 3 * 64 * 128) + 64


def test_a_pipeline_of_images(tmp_path: Path) -> None:
    index = {"_class_name": "StableDiffusionXLPipeline", "unet": ["diffusers", "UNet2DConditionModel"]}
    put(tmp_path, "model_index.json", index | {"vae": [None, None], "text_encoder": ["transformers", "CLIPTextModel"]})
    write_weights(tmp_path / "unet/diffusion_pytorch_model.safetensors", {"a": [4]})
    found = detect(describe_folder(tmp_path))
    assert (found.task, found.engine) == (Task.TEXT_TO_IMAGE, "diffusers")


def test_bark(folder: Path) -> None:
    put(folder, "config.json", {"architectures": ["BarkModel"], "model_type": "bark"})
    assert (detect(describe_folder(folder)).task, detect(describe_folder(folder)).engine) == (
        Task.TEXT_TO_SPEECH,
        "bark",
    )


@pytest.mark.parametrize(
    ("tag", "task"), [("feature-extraction", Task.FEATURE_EXTRACTION), (None, Task.SENTENCE_SIMILARITY)]
)
def test_sentence_transformers_are_told_apart_by_their_card(folder: Path, tag: str | None, task: Task) -> None:
    put(folder, "modules.json", [{"idx": 0, "type": "sentence_transformers.models.Transformer"}])
    if tag:
        (folder / "README.md").write_text(f"---\nlicense: mit\npipeline_tag: {tag}\n---\n# Hi\npipeline_tag: wrong\n")
    assert detect(describe_folder(folder)).task is task


@pytest.mark.parametrize(
    ("config", "tokens"),
    [
        ({"max_position_embeddings": 4096}, 4096),
        ({"n_positions": 1024}, 1024),
        ({"model_type": "mistral", "max_position_embeddings": 32768, "sliding_window": 4096}, 4096),
        ({"model_type": "mistral", "max_position_embeddings": 32768, "sliding_window": None}, 32768),
        ({"model_type": "qwen2", "max_position_embeddings": 32768, "sliding_window": 4096}, 32768),
        ({"text_config": {"max_position_embeddings": 512}}, 512),
        ({"max_position_embeddings": True}, None),
        ({"max_position_embeddings": "many"}, None),
        ({}, None),
    ],
)
def test_context(config: dict, tokens: int | None) -> None:
    description = Description(files={}, bytes=0, revision="", config={"config.json": config})
    assert context_of(description) == tokens


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        *((None, ""), (0, ""), (80_000, "80K"), (3_500_000, "3.5M"), (134_515_008, "135M"), (494_032_768, "494M")),
        *((999_900_000, "1B"), (1_100_048_384, "1.1B"), (8_030_261_248, "8B"), (46_702_792_704, "47B")),
    ],
)
def test_size(parameters: int | None, text: str) -> None:
    assert size_text(parameters) == text


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("config.json", LLAMA | {"auto_map": {"AutoModelForCausalLM": "model.Evil"}}, "`auto_map`"),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["t.Evil", None]}}, "`auto_map`"),
        ("config.json", LLAMA | {"text_config": {"inner": [{"auto_map": {"AutoConfig": "c.Evil"}}]}}, "`auto_map`"),
        ("config.json", LLAMA | {"trust_remote_code": True}, "`trust_remote_code`"),
        ("unet/config.json", {"auto_map": {"x": "y"}}, "unet/config.json"),
        ("generation_config.json", {"custom_generate": "x"}, "`custom_generate`"),
        ("model_index.json", {"_class_name": "StableDiffusionPipeline", "custom_pipeline": "evil"}, "custom_pipeline"),
        ("model_index.json", {"_class_name": ["pipeline", "Evil"]}, "own code"),
        ("model_index.json", {"_class_name": "StableDiffusionPipeline", "unet": ["unet.evil", "U"]}, "`unet.evil`"),
        ("modules.json", [{"type": "custom_st.Evil"}], "`custom_st.Evil`"),
    ],
)
def test_models_that_bring_code_are_refused(folder: Path, name: str, value: object, says: str) -> None:
    put(folder, name, value)
    with pytest.raises(ValueError, match="code") as caught:
        detect(describe_folder(folder))
    assert says in str(caught.value)


def test_nested_too_deeply_to_look_is_refused(folder: Path) -> None:
    value: object = {"auto_map": {"x": "y"}}
    for _ in range(80):
        value = {"a": value}
    put(folder, "config.json", value)
    with pytest.raises(ValueError, match="code"):
        detect(describe_folder(folder))
    (folder / "config.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match="not valid JSON"):
        describe_folder(folder)


def test_only_pickled_weights_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "config.json", LLAMA)
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(ValueError, match="only pickled weights"):
        detect(describe_folder(tmp_path))
    write_weights(tmp_path / "model.safetensors", {"a": [1]})
    assert detect(describe_folder(tmp_path)).engine == "openvino"


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"architectures": ["SamModel"], "model_type": "sam"}, "SamModel"),
        (
            {"architectures": ["LlamaForXVector"], "model_type": "llama"},
            "LlamaForXVector",
        ),
        ({"model_type": "mystery"}, "mystery"),
    ],
)
def test_unknown_architectures_are_named(folder: Path, config: dict, says: str) -> None:
    put(folder, "config.json", config)
    with pytest.raises(ValueError, match=says):
        detect(describe_folder(folder))


def test_folders_that_are_no_models(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no folder"):
        describe_folder(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no weights"):
        detect(describe_folder(tmp_path))
    write_weights(tmp_path / "model.safetensors", {"a": [1]})
    with pytest.raises(ValueError, match=r"no config\.json"):
        detect(describe_folder(tmp_path))


@pytest.mark.parametrize("data", [b"", b"\xff" * 8, struct.pack("<Q", 5) + b"{bad}", struct.pack("<Q", 4) + b'"no"'])
def test_broken_weights_are_named(folder: Path, data: bytes) -> None:
    (folder / "model.safetensors").write_bytes(data)
    with pytest.raises(ValueError, match=r"model\.safetensors is not a whole"):
        describe_folder(folder)


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a/../b", "..", ".hidden", "a/.git/x", "", "a//b", "a\0b", "a\\b\n", "a/b/c/d/e"]
)
def test_file_names_that_leave_their_folder_are_not_served(name: str) -> None:
    assert not is_safe_name(name)
    assert served_files([name + ".json", name]) == []


def test_which_files_are_served() -> None:
    names = ["config.json", "model.safetensors", "pytorch_model.bin", "tokenizer.model", "merges.txt", "modeling.py"]
    names += ["consolidated.safetensors", "onnx/model.onnx", "original/params.json", "training_args.bin", "chat.jinja"]
    served = served_files(names)
    assert served == ["chat.jinja", "config.json", "merges.txt", "model.safetensors", "tokenizer.model"]
    pickled = served_files([name for name in names if "safetensors" not in name], with_pickled=True)
    assert "pytorch_model.bin" in pickled
    assert "training_args.bin" not in pickled
    assert "pytorch_model.bin" not in served_files(names, with_pickled=True)


def test_a_pipeline_is_served_without_its_copies() -> None:
    names = [
        "model_index.json",
        "sd_xl.safetensors",
        "unet/config.json",
        "unet/d.safetensors",
        "unet/d.fp16.safetensors",
    ]
    assert served_files(names) == ["model_index.json", "unet/config.json", "unet/d.safetensors"]
