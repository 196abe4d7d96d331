"""What is asked of text models that do not stream tokens, and what comes back. One struct for each kind of question."""

import msgspec

from pronto.core.expected import Expected, tokens_in
from pronto.core.labels import Labels

USUAL_ANSWER = 64  # tokens that a model writes where nobody says how many


class ClassifyText(msgspec.Struct, frozen=True, kw_only=True, tag="classify-text"):
    """Labels for each text. `function` is sigmoid, softmax or none; None: what the model's config says."""

    texts: tuple[str, ...]
    top_k: int | None = None  # labels of each text; None: all
    function: str | None = None
    truncate: bool = False  # False: a text that is too long is refused

    @property
    def expected(self) -> Expected:
        return _reading(*self.texts)


class ClassifyByName(msgspec.Struct, frozen=True, kw_only=True, tag="classify-by-name"):
    """Labels that the model was never trained on, for each text. The value is Labels."""

    texts: tuple[str, ...]
    labels: tuple[str, ...]
    multi_label: bool = False  # True: each label is judged by itself
    template: str = "This example is {}."  # `{}` stands for the label

    @property
    def expected(self) -> Expected:
        once = tokens_in(*self.texts)
        tokens = len(self.labels) * once + len(self.texts) * tokens_in(*self.labels)
        return Expected(prompt_tokens=tokens, cost=tokens)


class ClassifyTokens(msgspec.Struct, frozen=True, kw_only=True, tag="classify-tokens"):
    """The named things in each text. `aggregation` is none, simple, first, average or max."""

    texts: tuple[str, ...]
    aggregation: str = "simple"
    ignored: tuple[str, ...] | None = None  # labels; None: `O`
    stride: int | None = None  # tokens that windows of a long text have in common

    @property
    def expected(self) -> Expected:
        return _reading(*self.texts)


class Entity(msgspec.Struct, frozen=True, array_like=True):
    """`start` and `end` in characters of the text, where the tokenizer knows; `index` of a token by itself."""

    label: str
    score: float
    word: str
    start: int | None = None
    end: int | None = None
    index: int | None = None


class Entities(msgspec.Struct, frozen=True, tag="entities"):
    """One row for each text, in the order of the text."""

    rows: tuple[tuple[Entity, ...], ...]


class Question(msgspec.Struct, frozen=True, array_like=True):
    """What is asked of a text."""

    question: str
    context: str


class AnswerQuestions(msgspec.Struct, frozen=True, kw_only=True, tag="answer-questions"):
    """The places in a context that answer its question. Lengths in tokens; None: the model's own."""

    questions: tuple[Question, ...]
    top_k: int = 1
    stride: int | None = None  # what windows of a long context have in common
    max_answer: int = 15
    max_window: int | None = None
    max_question: int | None = None
    may_be_impossible: bool = False  # whether "no answer" is one
    whole_words: bool = True

    @property
    def expected(self) -> Expected:
        return _reading(*(text for asked in self.questions for text in (asked.question, asked.context)))


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """`start` and `end` in characters of the context; an empty answer says that there is none."""

    answer: str
    score: float
    start: int
    end: int


class Answers(msgspec.Struct, frozen=True, tag="answers"):
    """One row for each question, the best answer first."""

    rows: tuple[tuple[Answer, ...], ...]


class FillMasks(msgspec.Struct, frozen=True, kw_only=True, tag="fill-masks"):
    """Words for the masks in each text; with `targets`, out of these alone."""

    texts: tuple[str, ...]
    targets: tuple[str, ...] = ()
    top_k: int = 5

    @property
    def expected(self) -> Expected:
        return _reading(*self.texts)


class Filling(msgspec.Struct, frozen=True, array_like=True):
    """One token for a mask, and the text with it."""

    score: float
    token: int
    text: str
    sequence: str


class Fillings(msgspec.Struct, frozen=True, tag="fillings"):
    """For each text its masks, and for each mask the most likely token first."""

    rows: tuple[tuple[tuple[Filling, ...], ...], ...]


class Writing(msgspec.Struct, frozen=True, kw_only=True):
    """How a text is written, under the names of transformers' generation parameters. None: the model's own."""

    max_new_tokens: int | None = None
    min_new_tokens: int | None = None
    max_length: int | None = None
    min_length: int | None = None
    do_sample: bool | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    typical_p: float | None = None
    repetition_penalty: float | None = None
    no_repeat_ngram_size: int | None = None
    num_beams: int | None = None
    num_return_sequences: int | None = None
    length_penalty: float | None = None
    early_stopping: bool | None = None
    max_time: float | None = None  # seconds

    @property
    def asked_tokens(self) -> int:
        """Of one sequence, as the client named it; 0: it did not."""
        return self.max_new_tokens or self.max_length or 0

    @property
    def expected_tokens(self) -> int:
        """Of all the sequences of one input."""
        return (self.asked_tokens or USUAL_ANSWER) * (self.num_return_sequences or 1)


class WriteText(msgspec.Struct, frozen=True, kw_only=True, tag="write-text"):
    """A text for each text. `kind` is text2text, summarization or translation."""

    texts: tuple[str, ...]
    kind: str = "text2text"
    source_language: str | None = None
    target_language: str | None = None
    writing: Writing = Writing()
    truncate: bool = False  # False: a text that is too long is refused
    tidy_spaces: bool | None = None
    seed: int | None = None  # None until the gateway has chosen one

    @property
    def expected(self) -> Expected:
        return _writing(self.writing, *self.texts)


class Converse(msgspec.Struct, frozen=True, kw_only=True, tag="converse"):
    """The next answer of a conversation with a text-to-text model."""

    text: str
    asked: tuple[str, ...] = ()  # earlier, by the user
    answered: tuple[str, ...] = ()  # to each of these
    writing: Writing = Writing()
    seed: int | None = None  # None until the gateway has chosen one

    @property
    def expected(self) -> Expected:
        return _writing(self.writing, *self.asked, *self.answered, self.text)


class Written(msgspec.Struct, frozen=True, tag="written"):
    """For each text what was written, as many times as was asked."""

    rows: tuple[tuple[str, ...], ...]


def _reading(*texts: str) -> Expected:
    tokens = tokens_in(*texts)
    return Expected(prompt_tokens=tokens, cost=tokens)


def _writing(writing: Writing, *texts: str) -> Expected:
    tokens, made = tokens_in(*texts), writing.expected_tokens * len(texts)
    return Expected(prompt_tokens=tokens, generated_tokens=made, cost=tokens + made * (writing.num_beams or 1))


TextWork = ClassifyText | ClassifyByName | ClassifyTokens | AnswerQuestions | FillMasks | WriteText | Converse
TextValue = Labels | Entities | Answers | Fillings | Written
