"""What is asked of text models that do not stream tokens, and what comes back. One struct for each kind of question."""

import msgspec

from pronto.core.expected import Expected, tokens_in


class ClassifyText(msgspec.Struct, frozen=True, kw_only=True, tag="classify-text"):
    """Labels for each text. `function` is sigmoid, softmax or none; None: what the model's config says."""

    texts: tuple[str, ...]
    top_k: int | None = None  # labels of each text; None: all
    function: str | None = None

    @property
    def expected(self) -> Expected:
        tokens = tokens_in(*self.texts)
        return Expected(prompt_tokens=tokens, cost=tokens)


TextWork = ClassifyText
