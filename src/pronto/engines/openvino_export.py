"""The export: a folder of safetensors becomes what the OpenVINO engine loads, once, whole or not at all.

Knows files and stages; what is exported and when is the fleet's business.
"""

import gc
import shutil
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from pronto.core.adapter import CONFIG, WEIGHTS
from pronto.core.request import Export
from pronto.engines.encoders.conversion import convert_encoder, inspect_encoder
from pronto.engines.jobs import Enter, Exporting
from pronto.engines.text import lora, manifest, staging
from pronto.engines.text.source import SourceFacts, inspect_source

_BYTES = {"fp16": 2.0, "int8": 1.1, "int4": 0.7}  # of disk for a parameter, scales included
_COPIED = (  # the source's own files: what the export tool writes in their place can differ
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "generation_config.json",
    "chat_template.jinja",
    "chat_template.json",
)
_TOOLS = ("openvino", "openvino-genai", "openvino-tokenizers", "optimum-intel", "nncf", "transformers", "torch")
_XML = "openvino_model.xml"


class Kind(msgspec.Struct, frozen=True):
    """What differs between the models that are exported. `convert` writes all files but the manifest."""

    inspect: Callable[[Path], SourceFacts]  # raises ValueError with a sentence
    convert: Callable[[Export, Path, Enter], None]
    weights: tuple[str, ...]


class ExportEngine(Exporting):
    """See jobs.py."""

    def __init__(self, kind: Kind | None = None) -> None:
        super().__init__(lambda work, enter: export(work, enter, kind))


def export(work: Export, enter: Enter, kind: Kind | None = None) -> str:
    """Export `work.folder` into `work.target` unless that is there already; returns a note for the log.

    Raises ValueError with a sentence when the source or the disk does not allow it.
    """
    folder, target = Path(work.folder), Path(work.target)
    kind = kind or TEXT
    if work.weights not in kind.weights:
        raise ValueError(f"There are no weights {work.weights!r}: please choose one of {', '.join(kind.weights)}.")
    with staging.alone(target, lambda: enter("wait")):
        if target.exists():
            manifest.verify(target)
            return "it was there already"
        facts = kind.inspect(folder)
        adapter = Path(work.adapter) if work.adapter else None
        staging.check_space(target, _disk_needed(facts, work.weights))
        with staging.staged(target) as part:
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore"
                )  # tracing warns by the dozen about constants that are meant to be constants
                kind.convert(work, part, enter)
            manifest.write(part, _origin(folder, facts, work.weights, adapter))
    return f"{facts.parameters} parameters as {work.weights}"


def _disk_needed(facts: SourceFacts, weights: str) -> int:
    """Bytes at the fullest moment: the graph as it was published, and beside it the compressed one."""
    compressed = 0.0 if weights == "fp16" else _BYTES[weights]
    graph = max(facts.weight_bytes, facts.parameters * _BYTES["fp16"])
    return int(graph + facts.parameters * compressed) + 64 * 2**20


def _origin(folder: Path, facts: SourceFacts, weights: str, adapter: Path | None) -> manifest.Origin:
    small = [path for path in sorted(folder.iterdir()) if path.suffix == ".json" and path.is_file()]
    small += [adapter / CONFIG, adapter / WEIGHTS] if adapter is not None else []
    return manifest.Origin(
        weights=weights,
        parameters=facts.parameters,
        dtype=facts.dtype,
        context=facts.context,
        source={path.name: manifest.sha256(path) for path in small},
        versions={tool: version(tool) for tool in _TOOLS},
    )


def _convert(work: Export, part: Path, enter: Enter) -> None:
    folder = Path(work.folder)
    enter("read")
    tokenizer, model = _read(folder, work.adapter)
    enter("export")
    _export_graph(model, tokenizer, part)
    del model
    gc.collect()
    _export_graph(_probe(folder), tokenizer, part / "probe")
    enter("compress")
    if work.weights != "fp16":
        _compress(part / _XML, work.weights)
    enter("write")
    _write_tokenizers(tokenizer, folder, part)


def _convert_encoder(work: Export, part: Path, enter: Enter) -> None:
    if work.adapter is not None:
        raise ValueError("An encoder takes no adapter.")
    _stay_offline()
    convert_encoder(Path(work.folder), part, work.weights, enter)


TEXT = Kind(inspect_source, _convert, tuple(_BYTES))
ENCODER = Kind(inspect_encoder, _convert_encoder, ("fp16", "int8"))


def encoder_exporter() -> ExportEngine:
    """The export of encoders: of embeddings, and of those with a classification head."""
    return ExportEngine(ENCODER)


def _stay_offline() -> None:
    """The export tools ask the Hub about local folders, and report their use, unless they are kept from it."""
    import huggingface_hub.constants

    huggingface_hub.constants.HF_HUB_OFFLINE = True
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # an import of it fails: the tools do without


def _read(folder: Path, adapter: str | None) -> tuple[Any, Any]:
    _stay_offline()
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    closed: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    tokenizer = AutoTokenizer.from_pretrained(str(folder), **closed)
    # An adapter is added to the weights as they were published, and the sum is rounded once.
    dtype = torch.float16 if adapter is None else "auto"
    model = AutoModelForCausalLM.from_pretrained(str(folder), dtype=dtype, use_safetensors=True, **closed)
    if adapter is not None:
        lora.merge(model, Path(adapter))
    return tokenizer, model.eval()


def _probe(folder: Path) -> Any:
    """A model of one tiny layer with the vocabulary of the real one: enough to compile a grammar against."""
    import torch
    from transformers import AutoConfig, LlamaConfig, LlamaForCausalLM

    config = AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    shape = LlamaConfig(
        vocab_size=config.vocab_size,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        max_position_embeddings=256,
        bos_token_id=config.bos_token_id,
        eos_token_id=config.eos_token_id,
    )
    torch.manual_seed(0)
    return LlamaForCausalLM(shape).to(torch.float16).eval()


def _export_graph(model: Any, tokenizer: Any, out: Path) -> None:
    from optimum.exporters.openvino import export_from_model
    from optimum.intel import OVConfig

    out.mkdir(exist_ok=True)
    export_from_model(
        model=model,
        output=out,
        task="text-generation-with-past",
        # The weights are fp16 already. Asking for fp16 here would round the rotary frequencies too, and answers
        # would drift from the model's own the further the longer the text is (0.01 in a logprob at 1,900 tokens).
        ov_config=OVConfig(dtype="fp32"),
        stateful=True,
        preprocessors=[tokenizer],
        patch_16bit_model=True,
    )


def _compress(xml: Path, weights: str) -> None:
    import nncf
    import openvino

    graph = openvino.Core().read_model(xml)
    if weights == "int8":
        graph = nncf.compress_weights(graph, mode=nncf.CompressWeightsMode.INT8_ASYM)
    else:
        # Layers whose width is no multiple of the group size of 128 get smaller groups rather than an error.
        smaller = nncf.AdvancedCompressionParameters(group_size_fallback_mode=nncf.GroupSizeFallbackMode.ADJUST)
        graph = nncf.compress_weights(
            graph, mode=nncf.CompressWeightsMode.INT4_ASYM, ratio=1.0, group_size=128, advanced_parameters=smaller
        )
    compressed = xml.with_stem(xml.stem + "_compressed")
    openvino.save_model(graph, compressed, compress_to_fp16=False)
    del graph
    gc.collect()
    for suffix in (".xml", ".bin"):
        compressed.with_suffix(suffix).replace(xml.with_suffix(suffix))


def _write_tokenizers(tokenizer: Any, folder: Path, part: Path) -> None:
    from optimum.exporters.openvino.convert import export_tokenizer

    for out in (part, part / "probe"):
        export_tokenizer(tokenizer, out, task="text-generation-with-past")
        if not (out / "openvino_tokenizer.xml").is_file():
            raise ValueError("OpenVINO has no way to convert this model's tokenizer, so it cannot serve the model.")
        for name in _COPIED:
            if (folder / name).is_file():
                shutil.copyfile(folder / name, out / name)
    if not (part / "tokenizer.json").is_file():
        raise ValueError("This model has no tokenizer.json, and none could be made from its tokenizer's files.")
