"""A model of transformers and its tokenizer, from files on this disk: safetensors alone, no code of the model's own."""

from collections.abc import Sequence
from typing import Any

import msgspec

from pronto.core.errors import InvalidInput
from pronto.core.model import Model
from pronto.engines.base import Capabilities, Device
from pronto.engines.batched import Batches
from pronto.engines.pipelines_text.watch import Watch

SLOTS = 64  # requests in work at once: they only wait for their batch
NO_LIMIT = 10**9  # tokenizers without a length say 1e30
DEFAULT_WINDOW = 2048  # tokens, where neither the tokenizer nor the config names any
CPU_COST = 2048  # padded tokens of a batch: on two cores more at once is not faster
GPU_COST = 32768


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """What the heads work with. `window`: tokens that the model reads at once, special ones included."""

    model: Any
    tokenizer: Any
    window: int
    device: str
    watch: Watch
    name: str  # of the model, for messages

    @property
    def config(self) -> Any:
        return self.model.config

    def batches(self) -> Batches:
        items = 64 if self.tokenizer.pad_token_id is not None else 1
        return Batches(items=items, cost=CPU_COST if self.device == "cpu" else GPU_COST)

    def capabilities(self) -> Capabilities:
        dtype = str(self.model.dtype).removeprefix("torch.")
        return Capabilities(slots=SLOTS, context=self.window, dtype=dtype)


def load(kind: str, model: Model, device: Device) -> Loaded:
    """`kind` is the name of one of transformers' Auto classes. Raises ValueError with a sentence for the operator."""
    if model.folder is None:
        raise ValueError("The model was not pulled yet. Run `pronto models pull` for it.")
    import torch
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    if device.threads:
        torch.set_num_threads(device.threads)
    on_cpu = device.kind == "cpu"
    safely = {"local_files_only": True, "trust_remote_code": False}
    try:
        made, report = getattr(transformers, kind).from_pretrained(
            model.folder,
            use_safetensors=True,
            dtype=torch.float32 if on_cpu else "auto",
            output_loading_info=True,
            **safely,
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(model.folder, **safely)
    except OSError as error:
        raise ValueError(f"The model's files cannot be read: {_first_line(error)}") from None
    if report["missing_keys"]:
        # They would be filled with random numbers, and the answers would be noise.
        missing = ", ".join(sorted(report["missing_keys"])[:3])
        raise ValueError(f"The model has no weights for the task {model.task} (missing: {missing}).")
    made = made.eval().to(device.kind)
    window = _window(tokenizer, made, model.context)
    tokenizer.model_max_length = window
    watch = Watch()
    watch.attach(made)
    return Loaded(model=made, tokenizer=tokenizer, window=window, device=device.kind, watch=watch, name=model.id)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__


def _window(tokenizer: Any, model: Any, context: int | None) -> int:
    """The least of what the tokenizer, the config and the catalog say."""
    lengths = [tokenizer.model_max_length] if tokenizer.model_max_length < NO_LIMIT else []
    positions = getattr(model.config, "max_position_embeddings", None)
    if isinstance(positions, int) and positions > 0:
        lengths.append(positions - _unused_positions(model))
    if context:
        lengths.append(context)
    return min(lengths, default=DEFAULT_WINDOW)


def _unused_positions(model: Any) -> int:
    """RoBERTa and its kin count positions from behind the padding token's."""
    for name, module in model.named_modules():
        if name.endswith("position_embeddings"):
            padding = getattr(module, "padding_idx", None)
            return 0 if padding is None else int(padding) + 1
    return 0


def read_text(loaded: Loaded, text: str, pair: str | None = None, *, cut: str | bool = False, name: str) -> Any:
    """The tokenizer's encoding. `cut` is transformers' `truncation`. Raises InvalidInput for what is too long."""
    try:
        said = loaded.tokenizer(text, pair, truncation=cut, max_length=loaded.window if cut else None)
    except Exception as error:  # the library has no type for this one
        if "too short" not in str(error):
            raise
        message = f"`{name}`: what may not be cut is alone longer than the {loaded.window} tokens of the model."
        raise InvalidInput(message, name) from None
    check_length(loaded, len(said["input_ids"]), name)
    return said


def check_length(
    loaded: Loaded, tokens: int, name: str, advice: str = "Please send less, or set `truncation`."
) -> None:
    """Raises InvalidInput."""
    if tokens > loaded.window:
        raise InvalidInput(f"`{name}` must have at most {loaded.window} tokens. Given: {tokens}. {advice}", name)


def padded(loaded: Loaded, encodings: Sequence[Any]) -> dict[str, Any]:
    """Tensors of one batch, filled up at the right, on the model's device."""
    import torch

    tokenizer = loaded.tokenizer
    longest = max(len(each["input_ids"]) for each in encodings)
    fill = {"input_ids": tokenizer.pad_token_id or 0, "token_type_ids": tokenizer.pad_token_type_id}
    batch = {}
    for name in tokenizer.model_input_names:
        if name in encodings[0]:
            value = fill.get(name, 0)
            if isinstance(encodings[0][name][0], list):
                value = [value] * len(encodings[0][name][0])  # TAPAS has seven types for each token
            rows = [list(each[name]) + [value] * (longest - len(each[name])) for each in encodings]
            batch[name] = torch.tensor(rows, device=loaded.device)
    if "attention_mask" not in batch:
        lengths = [len(each["input_ids"]) for each in encodings]
        rows = [[1] * length + [0] * (longest - length) for length in lengths]
        batch["attention_mask"] = torch.tensor(rows, device=loaded.device)
    return batch
