"""Opens a model of scikit-learn from the skops format, which is never a pickle: known types only, checked inside.

Why the trees are checked: docs/decisions/0011-models-of-tables.md.
"""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MAX_BYTES = 4 * 2**30  # unpacked
MAX_OBJECTS = 1_000_000
TREE, HISTOGRAM_TREE = "sklearn.tree._tree.Tree", "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"
_LEAF = -1

# What skops does not trust by itself and we do: plain Python without code of the file's own, and the two kinds of
# trees, whose numbers are checked below.
TRUSTED = frozenset(
    {TREE, HISTOGRAM_TREE, "numpy.dtype", "sklearn.utils._bunch.Bunch", "sklearn.metrics._scorer._PassthroughScorer"}
    | {f"sklearn.neural_network._stochastic_optimizers.{name}" for name in ("AdamOptimizer", "SGDOptimizer")}
    | {f"sklearn.model_selection._split.{name}" for name in ("KFold", "StratifiedKFold", "ShuffleSplit")}
    | {f"sklearn.feature_selection._univariate_selection.{name}" for name in ("f_classif", "f_regression", "chi2")}
)


def find_file(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The model's file, and what the card's config.json says of it. Raises ValueError."""
    card = _card(folder)
    kind = card.get("model_format", "skops")
    named = card.get("model", {}).get("file") if isinstance(card.get("model"), dict) else None
    if kind != "skops" or (isinstance(named, str) and not named.endswith(".skops")):
        raise ValueError(
            f"The model is in the format {kind!r} ({named}), which runs code when it is opened. Please save it with "
            "skops: `skops.io.dump(model, 'model.skops')`."
        )
    names = [named] if isinstance(named, str) else sorted(path.name for path in folder.glob("*.skops"))
    if len(names) != 1 or Path(names[0]).name != names[0] or not (folder / names[0]).is_file():
        raise ValueError("There must be one file of skops here: model.skops, or the one that config.json names.")
    return folder / names[0], card


def _card(folder: Path) -> dict[str, Any]:
    try:
        said = json.loads((folder / "config.json").read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    card = said.get("sklearn") if isinstance(said, dict) else None
    return card if isinstance(card, dict) else {}


def open_model(path: Path) -> Any:
    """Raises ValueError with a sentence for the operator."""
    import skops.io

    try:
        with zipfile.ZipFile(path) as packed:
            size = sum(part.file_size for part in packed.infolist())
        if size > MAX_BYTES:
            raise ValueError(f"{path.name} unpacks to {size >> 20} MB, which is too much.")
        unknown = sorted(set(skops.io.get_untrusted_types(file=path)) - TRUSTED)
        if unknown:
            raise ValueError(f"{path.name} holds types that Pronto does not open: {', '.join(unknown[:5])}.")
        model = skops.io.load(path, trusted=sorted(TRUSTED & set(skops.io.get_untrusted_types(file=path))))
    except (zipfile.BadZipFile, KeyError, TypeError, AttributeError, OSError) as error:
        raise ValueError(f"{path.name} is no whole file of skops ({type(error).__name__}).") from None
    for part in _parts(model):
        _check(part)
    return model


def _parts(model: Any) -> Iterator[Any]:
    """Everything inside, each once. Raises ValueError when there is no end of it."""
    import numpy as np

    seen: set[int] = set()
    left = [model]
    while left:
        part = left.pop()
        if id(part) in seen or isinstance(part, str | bytes | int | float | bool | type(None)):
            continue
        seen.add(id(part))
        if len(seen) > MAX_OBJECTS:
            raise ValueError("The model has too many parts to be checked.")
        yield part
        if isinstance(part, dict):
            left += [*part.keys(), *part.values()]
        elif isinstance(part, list | tuple | set | frozenset):
            left += part
        elif isinstance(part, np.ndarray):
            left += part.ravel().tolist() if part.dtype == object else []
        else:
            left += getattr(part, "__dict__", {}).values()


def _check(part: Any) -> None:
    """scikit-learn follows the numbers of a tree without a look at them. Raises ValueError."""
    name = f"{type(part).__module__}.{type(part).__name__}"
    tree = getattr(part, "tree_", None)
    if tree is not None and f"{type(tree).__module__}.{type(tree).__name__}" == TREE:
        _check_tree(tree, part.n_features_in_)
    if name.startswith(("sklearn.ensemble._forest.", "sklearn.ensemble._gb.")) and hasattr(part, "estimators_"):
        import numpy as np

        widths = {each.n_features_in_ for each in np.ravel(np.array(part.estimators_, dtype=object))}
        if widths != {part.n_features_in_}:
            raise _damaged()
    if name.startswith("sklearn.ensemble._hist_gradient_boosting.") and hasattr(part, "_predictors"):
        for predictor in (each for row in part._predictors for each in row):
            _check_histogram_tree(predictor, part.n_features_in_)


def _check_tree(tree: Any, width: int) -> None:
    if not 0 < tree.node_count <= tree.capacity:
        raise _damaged()
    _check_nodes(tree.children_left, tree.children_right, tree.feature, width)


def _check_nodes(left: Any, right: Any, feature: Any, width: int) -> None:
    """Children stand behind their parent, so that every walk ends; features are columns of the table."""
    import numpy as np

    inner = left != _LEAF
    places = np.arange(len(left))[inner]
    for children in (left[inner], right[inner]):
        if not ((children > places) & (children < len(left))).all():
            raise _damaged()
    if not ((feature[inner] >= 0) & (feature[inner] < width)).all():
        raise _damaged()


def _check_histogram_tree(predictor: Any, width: int) -> None:
    import numpy as np

    nodes = predictor.nodes
    if not len(nodes):
        raise _damaged()
    left = np.where(nodes["is_leaf"], _LEAF, nodes["left"].astype(np.int64))
    _check_nodes(left, nodes["right"].astype(np.int64), nodes["feature_idx"].astype(np.int64), width)
    chosen = nodes["bitset_idx"][(nodes["is_categorical"] != 0) & (nodes["is_leaf"] == 0)]
    if len(chosen) and int(chosen.max()) >= len(predictor.raw_left_cat_bitsets):
        raise _damaged()


def _damaged() -> ValueError:
    return ValueError("The model has a tree whose numbers point out of it. It is damaged, or was made to do harm.")
