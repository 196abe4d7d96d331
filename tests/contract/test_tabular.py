"""Models of scikit-learn through the engine: what they predict is what the library predicts; nothing else opens."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pronto.core.table_work import Column, PredictRows
from pronto.core.tasks import Task
from tests.contract.text_scene import Asker, model_of

pandas = pytest.importorskip("pandas")
ROWS = 60
CLASSES = {0: "no", 1: "yes"}


def frame() -> Any:
    rng = np.random.default_rng(3)
    return pandas.DataFrame(
        {"length": rng.normal(size=ROWS), "width": rng.normal(size=ROWS), "kind": rng.choice(["oak", "fir"], ROWS)}
    )


def save(folder: Path, model: Any, **card: Any) -> Path:
    import skops.io

    folder.mkdir(exist_ok=True)
    skops.io.dump(model, folder / "model.skops")
    if card:
        said = {"model": {"file": "model.skops"}, "model_format": "skops", **card}
        (folder / "config.json").write_text(json.dumps({"sklearn": said}))
    return folder


def forest() -> Any:
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    columns = make_column_transformer((OneHotEncoder(), ["kind"]), (StandardScaler(), ["length", "width"]))
    model = make_pipeline(columns, RandomForestClassifier(5, random_state=0, n_jobs=-1))
    data = frame()
    return model.fit(data, (data.length > data.width).map(lambda is_longer: CLASSES[int(is_longer)]))


def regressor(kind: str = "GradientBoostingRegressor", **options: Any) -> Any:
    import sklearn.ensemble

    data = frame()[["length", "width"]].to_numpy()
    return getattr(sklearn.ensemble, kind)(random_state=0, **options).fit(data, data[:, 0] * 2 + 1)


def asker(folder: Path, task: Task = Task.TABULAR_CLASSIFICATION) -> Asker:
    return Asker(model_of(folder, task, "tabular"))


def table(data: Any, **changed: Any) -> PredictRows:
    columns = {name: list(data[name]) for name in data} | changed
    return PredictRows(table=tuple(Column(name, tuple(cells)) for name, cells in columns.items()))


def test_classes_are_the_library_s_also_for_numbers_in_text(tmp_path: Path) -> None:
    model, data = forest(), frame()
    one = asker(save(tmp_path / "forest", model))
    wanted = tuple(model.predict(data).tolist())
    shuffled = data[["kind", "width", "length"]]
    texts = table(data, width=[str(cell) for cell in data.width], note=["x"] * ROWS)
    assert [value.rows for value in one.ask(table(data), table(shuffled), texts)] == [wanted] * 3


@pytest.mark.parametrize("kind", ["GradientBoostingRegressor", "HistGradientBoostingRegressor", "ExtraTreesRegressor"])
def test_numbers_are_the_library_s(tmp_path: Path, kind: str) -> None:
    model, data = regressor(kind), frame()[["length", "width"]]
    found = asker(save(tmp_path / "r", model, columns=["length", "width"]), Task.TABULAR_REGRESSION).one(table(data))
    np.testing.assert_allclose(found.rows, model.predict(data.to_numpy()))


def test_several_numbers_of_a_row_are_one_row(tmp_path: Path) -> None:
    from sklearn.linear_model import LinearRegression

    data = frame()[["length", "width"]]
    model = LinearRegression().fit(data.to_numpy(), data.to_numpy() * 2)
    found = asker(save(tmp_path / "r", model), Task.TABULAR_REGRESSION).one(table(data))
    np.testing.assert_allclose(found.rows, data.to_numpy() * 2, atol=1e-9)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"kind": None}, "kind"),
        ({"width": [*["1"] * (ROWS - 1), "wide"]}, "not a number"),
        ({"width": [*[1.0] * (ROWS - 1), "1e999"]}, "not a number"),
        ({"kind": ["elm"] * ROWS}, "elm"),
    ],
)
def test_a_table_that_does_not_fit_is_told_why(tmp_path: Path, changed: dict[str, Any], words: str) -> None:
    example = {"length": [1.0], "width": [2.0], "kind": ["oak"]}
    one = asker(save(tmp_path / "forest", forest(), example_input=example))
    data = frame()
    columns = {name: list(data[name]) for name in data} | changed
    work = PredictRows(table=tuple(Column(name, tuple(c)) for name, c in columns.items() if c is not None))
    failed = one.failure(work)
    assert (failed.kind, failed.param) == ("invalid_input", "inputs")
    assert words in failed.message


def test_a_table_without_names_is_told_how_many_columns(tmp_path: Path) -> None:
    one = asker(save(tmp_path / "r", regressor()), Task.TABULAR_REGRESSION)
    assert "2 columns" in one.failure(table(frame())).message


def load_error(folder: Path, task: Task = Task.TABULAR_REGRESSION) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        asker(folder, task)
    return str(caught.value)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(print))
    card = {"sklearn": {"model": {"file": "model.pkl"}, "model_format": "pickle"}}
    (tmp_path / "config.json").write_text(json.dumps(card))
    assert "skops" in load_error(tmp_path)
    (tmp_path / "config.json").unlink()
    assert "one file of skops" in load_error(tmp_path)
    (tmp_path / "model.skops").write_bytes((tmp_path / "model.pkl").read_bytes())
    assert "no whole file" in load_error(tmp_path)


def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    save(tmp_path, regressor())
    folder = tmp_path / "inner"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"sklearn": {"model": {"file": "../model.skops"}}}))
    assert "one file of skops" in load_error(folder)


def test_functions_of_other_modules_are_not_opened(tmp_path: Path) -> None:
    import os

    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    evil = make_pipeline(FunctionTransformer(os.system), regressor())
    said = load_error(save(tmp_path / "evil", evil))
    assert "does not open" in said
    assert "system" in said


@pytest.mark.parametrize(
    ("field", "value"),
    [("left_child", 10**7), ("left_child", 0), ("right_child", 10**7), ("right_child", -7), ("feature", 2)],
)
def test_a_tree_that_points_out_of_itself_is_refused(tmp_path: Path, field: str, value: int) -> None:
    model = regressor(n_estimators=2)
    tree = model.estimators_[1, 0].tree_
    state = tree.__getstate__()
    state["nodes"] = state["nodes"].copy()
    state["nodes"][field][0] = value
    tree.__setstate__(state)
    assert "tree" in load_error(save(tmp_path / "bad", model))


def test_a_histogram_tree_that_points_out_of_itself_is_refused(tmp_path: Path) -> None:
    model = regressor("HistGradientBoostingRegressor", max_iter=2)
    model._predictors[0][0].nodes["feature_idx"][0] = 1000
    assert "tree" in load_error(save(tmp_path / "bad", model))


def test_trees_that_are_wider_than_their_forest_are_refused(tmp_path: Path) -> None:
    model = regressor(n_estimators=2)
    model.n_features_in_ = 1
    assert "tree" in load_error(save(tmp_path / "bad", model))


def test_the_task_is_the_model_s_own(tmp_path: Path) -> None:
    assert "tabular-classification" in load_error(save(tmp_path / "r", regressor()), Task.TABULAR_CLASSIFICATION)


def test_a_model_that_fails_on_its_own_example_is_not_loaded(tmp_path: Path) -> None:
    folder = save(tmp_path / "forest", forest(), example_input={"length": [1.0], "width": [2.0]})
    assert "kind" in load_error(folder, Task.TABULAR_CLASSIFICATION)
