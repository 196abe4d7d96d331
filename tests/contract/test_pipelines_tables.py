"""Questions about tables through the engine: TAPAS answers as transformers' pipeline has them."""

from typing import Any

import pytest

from pronto.core.table_work import AskTable, Column
from pronto.core.tasks import Task
from tests.contract.text_scene import Asker, folder_of, model_of

TABLE = {
    "City": ["Paris", "Berlin", "the capital of France"],
    "People": ["100", "2024", "8"],
    "Legs": ["one", "two", "eight"],
}
QUERIES = ("How many people?", "What is the capital of France?", "Where are you from, small machine?")


@pytest.fixture(scope="module")
def asker(tmp_path_factory: pytest.TempPathFactory) -> Asker:
    base = tmp_path_factory.getbasetemp() / "tiny-text"
    return Asker(model_of(folder_of(base, "tapas"), Task.TABLE_QUESTION_ANSWERING))


@pytest.fixture(scope="module")
def library(asker: Asker) -> Any:
    from transformers import pipeline

    return pipeline("table-question-answering", model=asker.model.folder, device="cpu")


def columns(table: dict[str, Any]) -> tuple[Column, ...]:
    return tuple(Column(name, tuple(cells)) for name, cells in table.items())


def check(answer: Any, wanted: dict[str, Any]) -> None:
    assert answer.answer == wanted["answer"]
    assert list(answer.places) == [tuple(map(int, place)) for place in wanted["coordinates"]]
    assert list(answer.cells) == wanted["cells"]
    assert answer.aggregator == wanted["aggregator"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("sequential", [False, True])
def test_answers_are_the_library_s(asker: Asker, library: Any, sequential: bool) -> None:
    import pandas

    wanted = library(pandas.DataFrame(TABLE), list(QUERIES), sequential=sequential)
    found = asker.one(AskTable(queries=QUERIES, table=columns(TABLE), sequential=sequential))
    for answer, expected in zip(found.answers, wanted, strict=True):
        check(answer, expected)
    assert any(answer.cells for answer in found.answers)


def test_a_batch_of_tables_says_what_each_says_alone(asker: Asker) -> None:
    works = [
        AskTable(queries=(query,), table=columns(table))
        for query in QUERIES
        for table in (TABLE, {"City": ["Paris"]}, {"n": [1, None, 2.5, True]})
    ]
    assert asker.ask(*works) == [asker.one(work) for work in works]


def test_rows_that_do_not_fit_are_left_out_or_refused(asker: Asker) -> None:
    long = columns({"City": ["Berlin"] * 400, "Legs": ["eight"] * 400})
    assert asker.usage(AskTable(queries=QUERIES[:1], table=long)).prompt_tokens <= 128
    failed = asker.failure(AskTable(queries=QUERIES[:1], table=long, truncate=False))
    assert failed.param == "table"
    wide = columns({f"column number {n}": ["Paris"] for n in range(100)})
    failed = asker.failure(AskTable(queries=QUERIES[:1], table=wide))
    assert (failed.kind, failed.param) == ("invalid_input", "table")
