"""From the vectors of tokens to the vector of a text: pooling, dense layers, norms. NumPy alone."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pronto.engines.encoders.recipe import Layer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

_LEAST = 1e-9  # of a divisor, as sentence-transformers has it
_LEAST_NORM = 1e-12  # as torch's normalize has it

Apply = Callable[["Floats"], "Floats"]


def pool(hidden: "Floats", mask: "Floats", modes: Sequence[str]) -> "Floats":
    """`hidden` is (texts, tokens, values); `mask` (texts, tokens) has 1 where a token counts. Padding stands right."""
    import numpy as np

    return np.concatenate([_POOLS[mode](hidden, mask) for mode in modes], axis=1)


def _total(hidden: "Floats", weights: "Floats") -> "Floats":
    import numpy as np

    total: Floats = np.matmul(weights[:, None, :], hidden)[:, 0]
    return total


def _mean(hidden: "Floats", mask: "Floats") -> "Floats":
    mean: Floats = _total(hidden, mask) / mask.sum(1, keepdims=True).clip(_LEAST)
    return mean


def _mean_sqrt(hidden: "Floats", mask: "Floats") -> "Floats":
    scale: Floats = mask.sum(1, keepdims=True).clip(_LEAST) ** 0.5
    return _total(hidden, mask) / scale


def _weighted(hidden: "Floats", mask: "Floats") -> "Floats":
    import numpy as np

    weights = mask * np.arange(1, mask.shape[1] + 1, dtype=np.float32)
    mean: Floats = _total(hidden, weights) / weights.sum(1, keepdims=True).clip(_LEAST)
    return mean


def _highest(hidden: "Floats", mask: "Floats") -> "Floats":
    import numpy as np

    highest: Floats = np.where(mask[:, :, None] > 0, hidden, -np.inf).max(1)
    return highest


def _first(hidden: "Floats", mask: "Floats") -> "Floats":
    import numpy as np

    first: Floats = hidden[np.arange(len(hidden)), mask.argmax(1)]
    return first


def _last(hidden: "Floats", mask: "Floats") -> "Floats":
    import numpy as np

    places = mask.shape[1] - 1 - mask[:, ::-1].argmax(1)
    last: Floats = hidden[np.arange(len(hidden)), places]
    return last


_POOLS: dict[str, Callable[["Floats", "Floats"], "Floats"]] = {
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_sqrt,
    "weightedmean": _weighted,
    "max": _highest,
    "cls": _first,
    "lasttoken": _last,
}


def normalized(vectors: "Floats") -> "Floats":
    """Each row of length 1."""
    import numpy as np

    length: Floats = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: Floats = vectors / length.clip(_LEAST_NORM)
    return unit


def load_layers(folder: Path, layers: Sequence[Layer]) -> list[Apply]:
    """The layers behind the pooling. Raises ValueError with a sentence."""
    return [normalized if layer.kind == "normalize" else _load(folder / layer.folder, layer) for layer in layers]


def _load(folder: Path, layer: Layer) -> Apply:
    from safetensors.numpy import load_file

    path = folder / "model.safetensors"
    if not path.is_file():
        raise ValueError(
            f"The module {layer.folder} has no model.safetensors. Run `pronto models pull --convert` for the model."
        )
    weights = {name: value.astype("float32") for name, value in load_file(path).items()}
    try:
        return _layer_norm(weights) if layer.kind == "layer_norm" else _dense(weights, layer)
    except KeyError as error:
        raise ValueError(
            f"The weights of the module {layer.folder} lack {error}. Please pull the model again."
        ) from None


def _dense(weights: dict[str, Any], layer: Layer) -> Apply:
    activate = _ACTIVATIONS.get(layer.activation)
    if activate is None:
        raise ValueError(f"The dense layer's function `{layer.activation}` is not one that Pronto has.")
    matrix, bias = weights["linear.weight"].T.copy(), weights.get("linear.bias", 0.0)
    carried = weights["residual.weight"].T.copy() if layer.has_residual and "residual.weight" in weights else None

    def apply(vectors: "Floats") -> "Floats":
        made: Floats = activate(vectors @ matrix + bias)
        if layer.has_residual:
            made = made + (vectors if carried is None else vectors @ carried)
        return made

    return apply


def _layer_norm(weights: dict[str, Any]) -> Apply:
    scale, shift = weights["norm.weight"], weights["norm.bias"]
    least = 1e-5  # torch's own, which sentence-transformers leaves as it is

    def apply(vectors: "Floats") -> "Floats":
        centred = vectors - vectors.mean(-1, keepdims=True)
        made: Floats = centred / ((centred**2).mean(-1, keepdims=True) + least) ** 0.5 * scale + shift
        return made

    return apply


def _tanh(x: Any) -> Any:
    import numpy as np

    return np.tanh(x)


def _sigmoid(x: Any) -> Any:
    import numpy as np

    return 1.0 / (1.0 + np.exp(-x))


_ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "identity": lambda x: x,
    "tanh": _tanh,
    "relu": lambda x: x.clip(0.0),
    "sigmoid": _sigmoid,
}
