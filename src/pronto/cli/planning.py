"""`pronto models plan`: which GPUs hold a model, before anything is downloaded. Looks at no machine."""

from pathlib import Path
from typing import Annotated

import click
import typer

from pronto.catalog import sizing
from pronto.catalog.catalog import Catalog
from pronto.catalog.library import Library
from pronto.catalog.sources import read_document
from pronto.cli.frame import AsJson, DataDir, read_settings
from pronto.cli.output import write_rows
from pronto.core.errors import ModelNotFound
from pronto.core.model import Model
from pronto.core.tasks import Task

COLUMNS = ("gpu", "count", "precision", "context", "weights_gb", "kv_kib_per_token", "cache_tokens", "streams")


app = typer.Typer()  # its command stands among those of `pronto models`


@app.command("plan")
def plan_model(
    id: Annotated[str, typer.Argument(metavar="ID", help="The model's id, like owner/name.")],
    gpu: Annotated[str | None, typer.Option(help="One kind of GPU, like H200; unset: all that are known.")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="GPUs that share it; unset: the fewest that do.")] = None,
    precision: Annotated[str | None, typer.Option(help="bf16, fp8 or int4; unset: all three.")] = None,
    context: Annotated[int | None, typer.Option(min=1, help="Tokens of prompt and answer; unset: the model's.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show which GPUs hold a text model, and how many streams of a whole context run at once."""
    settings = read_settings(data_dir=data_dir)
    try:
        model = Library(settings.data_dir).locate(Catalog(settings.data_dir).resolve(id, None))
        shape, tokens = _shape(model), context or model.context or 2048
        kinds, widths = [gpu] if gpu else list(sizing.GPUS), [precision] if precision else list(sizing.PRECISIONS)
        fits = [_fit(shape, kind, count, width, tokens) for kind in kinds for width in widths]
    except (ValueError, ModelNotFound) as error:
        raise click.ClickException(str(error)) from error
    if gpu is not None and not as_json:
        typer.echo(f"{model.id}: {shape.parameters / 1e9:.2f} billion parameters")
        for found in fits:
            typer.echo(sizing.describe(found))
        return
    write_rows([_row(found) for found in fits], COLUMNS, as_json=as_json, empty="")


def _fit(shape: sizing.Shape, gpu: str, count: int | None, precision: str, context: int) -> sizing.Fit:
    """Raises ValueError."""
    if count is None:
        return sizing.smallest(shape, gpu, precision=precision, context=context)
    return sizing.fit(shape, gpu, count=count, precision=precision, context=context)


def _shape(model: Model) -> sizing.Shape:
    """By the model's own files where they are here, else by what is published. Raises ValueError."""
    if model.task is not Task.TEXT_GENERATION:
        raise ValueError(f"{model.id} does {model.task}; only models that generate text are planned by their config.")
    known = sizing.published().get(model.base or model.id)
    if known is not None:
        return known
    if model.folder is None:
        raise ValueError(f"The files of {model.id} are not here. Please run `pronto models pull {model.id}` first.")
    try:
        return sizing.read_shape(read_document(Path(model.folder) / "config.json"))
    except ValueError as error:
        raise ValueError(f"{model.id} cannot be planned: {error}.") from None


def _row(found: sizing.Fit) -> dict[str, object]:
    return {
        "gpu": found.gpu,
        "count": found.count,
        "precision": found.precision,
        "context": found.context,
        "weights_gb": round(found.weight_bytes / 1e9, 1),
        "kv_kib_per_token": found.kv_bytes / 1024,
        "cache_tokens": found.tokens,
        "streams": found.streams or "does not fit",
    }
