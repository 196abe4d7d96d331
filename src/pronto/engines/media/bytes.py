"""The bytes of a request's media, from the message or from the file that the gateway put them in. Knows no format."""

from pathlib import Path

from pronto.core.errors import InvalidInput
from pronto.core.media import Media
from pronto.core.request import InferenceRequest


def bytes_of(request: InferenceRequest, media: Media) -> bytes:
    """Raises InvalidInput for what is empty or is no longer there."""
    data = media.data
    if not data and (path := request.files.get(media.digest)):
        try:
            data = Path(path).read_bytes()
        except OSError:
            raise InvalidInput("The upload of this request is gone. Please send it again.", media.name) from None
    if not data:
        raise InvalidInput(f"`{media.name or 'inputs'}` is empty: please send a file.", media.name or "inputs")
    return data
