"""What a folder says of how its encoder makes vectors: length, pooling, layers after it, prompts. Opens no weights."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from pronto.engines.text.source import read_json

MODULES = "modules.json"
PROMPTS = "config_sentence_transformers.json"
POOLING_MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
_LEGACY_MODES = {  # in the order in which several are joined
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_LENGTHS = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
_DEFAULT_LENGTH = 512  # tokens, where nothing says it
_UNBOUNDED = 1_000_000  # what tokenizers write who know no length is far above


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """A module behind the pooling. `kind`: dense | layer_norm | normalize."""

    kind: str
    folder: str = ""  # relative to the model's
    activation: str = ""  # of a dense layer: the last word of torch's name for it
    has_residual: bool = False


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """How a text becomes a vector."""

    root: str  # of the encoder itself, relative to the model's folder; "": the same
    max_tokens: int  # special tokens included
    modes: tuple[str, ...] = ("mean",)
    layers: tuple[Layer, ...] = ()
    is_sentence_model: bool = False  # False: a bare encoder, which has a vector for each token
    lowers: bool = False
    prompts: dict[str, str] = {}
    default_prompt: str | None = None
    pools_prompt: bool = True
    model_type: str = ""


def read_recipe(folder: Path) -> Recipe:
    """Raises ValueError with a sentence for modules that this engine does not have."""
    modules = _modules(folder)
    root = modules[0][1] if modules else ""
    config = read_json(folder / root / "config.json")
    told = next((found for name in _LENGTHS if (found := read_json(folder / root / name))), {})
    recipe = Recipe(
        root=root,
        max_tokens=_max_tokens(told, config, read_json(folder / root / "tokenizer_config.json")),
        is_sentence_model=bool(modules),
        lowers=bool(told.get("do_lower_case")),
        model_type=str(config.get("model_type", "")),
    )
    return _with_prompts(_with_modules(recipe, folder, modules[1:]), read_json(folder / PROMPTS))


def encoder_root(folder: Path) -> Path:
    """Where the encoder's own config and weights are. Raises as read_recipe."""
    modules = _modules(folder)
    return folder / modules[0][1] if modules else folder


def _modules(folder: Path) -> list[tuple[str, str]]:
    """(kind in lower case, folder) of each module; the first is the encoder."""
    path = folder / MODULES
    if not path.is_file():
        return []
    try:
        items = msgspec.json.decode(path.read_bytes(), type=list[dict[str, Any]])
        modules = [(str(item["type"]).rpartition(".")[2].lower(), str(item.get("path") or "")) for item in items]
    except (msgspec.MsgspecError, KeyError):
        raise ValueError(f"{MODULES} is not a list of modules. Please pull the model again.") from None
    for kind, under in modules:
        if Path(under).is_absolute() or ".." in Path(under).parts:
            raise ValueError(f"{MODULES} names a folder outside of the model: {under}")
        if modules[0][0] != "transformer" or (kind == "transformer") != ((kind, under) == modules[0]):
            raise ValueError(
                f"{MODULES} begins with `{modules[0][0]}`; Pronto serves models that begin with one encoder."
            )
    return modules


def _with_modules(recipe: Recipe, folder: Path, modules: Sequence[tuple[str, str]]) -> Recipe:
    layers: list[Layer] = []
    for kind, under in modules:
        config = read_json(folder / under / "config.json") if under else {}
        if kind == "pooling" and not layers:
            recipe = _with_pooling(recipe, config)
        elif kind == "dense":
            layers.append(_dense(under, config))
        elif kind == "layernorm":
            layers.append(Layer(kind="layer_norm", folder=under))
        elif kind == "normalize":
            layers.append(Layer(kind="normalize"))
        elif kind != "dropout":  # which does nothing once a model is trained
            raise ValueError(f"{MODULES} names the module `{kind}`, which Pronto does not have.")
    return msgspec.structs.replace(recipe, layers=tuple(layers))


def _with_pooling(recipe: Recipe, config: dict[str, Any]) -> Recipe:
    named = config.get("pooling_mode")
    modes = (named,) if isinstance(named, str) else tuple(named or ())
    modes = modes or tuple(mode for key, mode in _LEGACY_MODES.items() if config.get(key)) or ("mean",)
    for mode in modes:
        if mode not in POOLING_MODES:
            raise ValueError(f"The pooling `{mode}` is not one that Pronto has: {', '.join(POOLING_MODES)}.")
    return msgspec.structs.replace(recipe, modes=modes, pools_prompt=config.get("include_prompt") is not False)


def _dense(under: str, config: dict[str, Any]) -> Layer:
    if config.get("module_input_name", "sentence_embedding") != "sentence_embedding":
        raise ValueError(f"{MODULES} names a dense layer over tokens, which Pronto does not have.")
    activation = str(config.get("activation_function") or "Tanh").rpartition(".")[2].lower()
    return Layer(kind="dense", folder=under, activation=activation, has_residual=bool(config.get("use_residual")))


def _with_prompts(recipe: Recipe, told: dict[str, Any]) -> Recipe:
    prompts = told.get("prompts")
    named = {str(name): str(text) for name, text in prompts.items()} if isinstance(prompts, dict) else {}
    default = told.get("default_prompt_name")
    return msgspec.structs.replace(recipe, prompts=named, default_prompt=default if default in named else None)


def _max_tokens(told: dict[str, Any], config: dict[str, Any], tokenizer: dict[str, Any]) -> int:
    """What the modules say, else the tokenizer; never more than there are positions."""
    positions = config.get("max_position_embeddings")
    if isinstance(positions, int) and config.get("model_type") in _SHIFTED:
        positions -= 2  # these count from the padding token's id on
    chosen = told.get("max_seq_length") or tokenizer.get("model_max_length")
    known = [int(one) for one in (chosen, positions) if isinstance(one, int | float) and 0 < one < _UNBOUNDED]
    return min(known, default=_DEFAULT_LENGTH)


_SHIFTED = frozenset({"roberta", "xlm-roberta", "camembert", "mpnet", "longformer", "xmod", "roberta-prelayernorm"})
