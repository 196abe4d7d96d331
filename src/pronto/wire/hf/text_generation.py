"""Text generation on the Hugging Face routes: the full text by default, a list of one, details as TGI's."""

from pronto.core.tasks import Task
from pronto.wire.base import Raw
from pronto.wire.faults import Malformed
from pronto.wire.hf.asked import Asked, TaskFormat
from pronto.wire.text_reply import TextStyle, text_encoder
from pronto.wire.text_request import Bounds, Parameters, TextBody, read_body, read_inputs, read_text, wants_details


def read(raw: Raw, bounds: Bounds) -> Asked:
    """Raises InvalidInput."""
    body, parameters = _body(raw)
    streams = bool(body.stream)
    prompts = read_inputs(body, bounds, streams=streams)
    work, *more = [read_text(prompt, parameters, bounds, streams=streams) for prompt in prompts]
    full_text = parameters.return_full_text
    if full_text is None:
        # huggingface_hub documents false as its default and sends it only in old versions.
        full_text = "hf_hub/" not in raw.headers.get("user-agent", "")
    prefix, *more_prefixes = prompts if full_text else [""] * len(prompts)
    style = TextStyle(
        is_list=True,
        streams=streams,
        details=wants_details(parameters),
        prefix=prefix,
        characters=sum(map(len, prompts)) + len(parameters.suffix or "") * len(prompts),
        more_prefixes=tuple(more_prefixes),
        choices=work.choices,
    )
    return Asked(work, style, tuple(more), body.options)


def _body(raw: Raw) -> tuple[TextBody, Parameters]:
    if raw.headers.get("content-type", "").startswith("text/plain"):
        try:
            return TextBody(inputs=raw.body.decode()), Parameters()
        except UnicodeDecodeError:
            raise Malformed("The request body must be UTF-8 text, or JSON with `inputs`.") from None
    return read_body(raw.body)


FORMATS = {Task.TEXT_GENERATION: TaskFormat(read, text_encoder)}
