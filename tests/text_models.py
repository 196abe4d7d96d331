"""A catalog of tiny models for every text and table task, and the folder of each, for tests over a real server."""

import json
from pathlib import Path
from typing import Any

from pronto.core.tasks import Task
from tests import tiny_text

# id -> (kind of tiny_text, task)
TEXT_MODELS = {
    "tiny/sentiment": ("sentiment", Task.TEXT_CLASSIFICATION),
    "tiny/nli": ("nli", Task.ZERO_SHOT_CLASSIFICATION),
    "tiny/ranking": ("ranking", Task.TEXT_RANKING),
    "tiny/names": ("names", Task.TOKEN_CLASSIFICATION),
    "tiny/questions": ("questions", Task.QUESTION_ANSWERING),
    "tiny/masks": ("masks", Task.FILL_MASK),
    "tiny/text2text": ("t5", Task.TEXT2TEXT_GENERATION),
    "tiny/summary": ("bart", Task.SUMMARIZATION),
    "tiny/translation": ("m2m", Task.TRANSLATION),
    "tiny/talk": ("bart", Task.CONVERSATIONAL),
    "tiny/tables": ("tapas", Task.TABLE_QUESTION_ANSWERING),
}
ROWS = {"length": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "width": [5.0, 1.0, 4.0, 2.0, 9.0, 3.0]}


def write_catalog(data_dir: Path, models: Path, *names: str) -> dict[str, Path]:
    """Build what is named (nothing: all) and write it into the catalog. The folders, by id."""
    folders: dict[str, Path] = {}
    entries = []
    for id, (kind, task) in TEXT_MODELS.items():
        if not names or id in names:
            folders[id] = models / kind
            if not folders[id].exists():
                tiny_text.build(folders[id], kind)
            entries.append(_entry(id, task, "pipelines-text", folders[id]))
    for id, task in (("tiny/classes", Task.TABULAR_CLASSIFICATION), ("tiny/numbers", Task.TABULAR_REGRESSION)):
        if not names or id in names:
            folders[id] = build_table_model(models / id.partition("/")[2], task)
            entries.append(_entry(id, task, "tabular", folders[id]))
    data_dir.mkdir(exist_ok=True)
    path = data_dir / "catalog.toml"
    before = path.read_text() if path.exists() else ""
    path.write_text(before + "\n".join(entries))
    return folders


def _entry(id: str, task: Task, engine: str, folder: Path) -> str:
    return f'\n[[models]]\nid = "{id}"\ntask = "{task}"\nengine = "{engine}"\nfolder = "{folder}"\n'


def build_table_model(folder: Path, task: Task) -> Path:
    """A model of scikit-learn that knows ROWS, in the format of skops with its card."""
    import pandas
    import skops.io
    from sklearn.linear_model import LinearRegression
    from sklearn.tree import DecisionTreeClassifier

    data = pandas.DataFrame(ROWS)
    if task is Task.TABULAR_CLASSIFICATION:
        model: Any = DecisionTreeClassifier(random_state=0).fit(data, [int(length > 3) for length in data.length])
    else:
        model = LinearRegression().fit(data, 2 * data.length + data.width)
    folder.mkdir(parents=True, exist_ok=True)
    skops.io.dump(model, folder / "model.skops")
    card = {"columns": list(ROWS), "model": {"file": "model.skops"}, "model_format": "skops", "task": task.value}
    (folder / "config.json").write_text(json.dumps({"sklearn": card}))
    return folder
