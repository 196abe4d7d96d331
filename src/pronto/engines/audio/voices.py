"""Voices of a model: presets in its folder `speaker_embeddings`, loaded as bare numbers and never as Python objects."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pronto.core.errors import InvalidInput

FOLDER = "speaker_embeddings"
MAX_BYTES = 4 << 20  # of one file
MAX_FILES = 4096
SHOWN = 8  # voices that a message lists
# What OpenAI's clients must name; each means one of the model's own voices, always the same.
OPENAI = (
    "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer", "verse",
)  # fmt: skip


class Voices:
    """Names to what the model makes of them (the type is the model's own). None: the model's voice without a preset."""

    def __init__(self, known: Mapping[str, Any]) -> None:
        self._known = dict(sorted(known.items()))
        english = [name for name in self._known if name.startswith("v2/en_")]
        self._stand_ins: Sequence[str] = english or list(self._known)

    def choose(self, name: str | None) -> Any:
        """Raises InvalidInput that lists some, for a name that is no voice."""
        if name is None or name == "default":
            return None
        for spelling in (name, f"v2/{name}"):
            if spelling in self._known:
                return self._known[spelling]
        if name.lower() in OPENAI:
            if not self._stand_ins:
                return None
            return self._known[self._stand_ins[OPENAI.index(name.lower()) % len(self._stand_ins)]]
        raise InvalidInput(f"`voice` {name[:64]!r} is not a voice of this model. {self._offer()}", "voice")

    def _offer(self) -> str:
        if not self._known:
            return "It has one voice: please leave `voice` out, or send `default`."
        names = [*self._stand_ins[:SHOWN]]
        more = len(self._known) - len(names)
        return f"It has {', '.join(names)}" + (f" and {more} more." if more > 0 else ".")


def find_files(folder: Path, suffix: str) -> dict[str, Path]:
    """Names of voices to their files: `v2/en_speaker_6` for `speaker_embeddings/v2/en_speaker_6` + suffix."""
    root = folder / FOLDER
    found = sorted(root.rglob(f"*{suffix}"))[:MAX_FILES] if root.is_dir() else []
    return {path.relative_to(root).as_posix().removesuffix(suffix): path for path in found}


def read_array(path: Path) -> Any:
    """Numbers out of an .npy file. Raises ValueError for anything else, a pickle above all."""
    import numpy as np

    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"the voice {path.name} has more than {MAX_BYTES} bytes")
    # Mapped: a head that promises more numbers than the file has is refused before memory is taken for them.
    try:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except EOFError:
        raise ValueError(f"the voice {path.name} is empty") from None
    if not isinstance(mapped, np.ndarray) or mapped.dtype.kind not in "iuf":
        raise ValueError(f"the voice {path.name} holds no numbers")
    return np.array(mapped)
