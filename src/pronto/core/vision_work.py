"""What is asked of models that look at images, and what comes back. Places in pixels from the upper left corner."""

import msgspec

from pronto.core.expected import Expected, tokens_in
from pronto.core.media import MadeMedia, Media

IMAGE_COST = 256  # prompt tokens that looking at an image counts as in the fair queue
CAPTION_TOKENS = 64  # of a caption or an answer, where neither the request nor the model says how many


class Decoding(msgspec.Struct, frozen=True, kw_only=True):
    """How a text about an image is made. None: as the model's generation_config says."""

    max_new_tokens: int | None = None
    num_beams: int | None = None
    do_sample: bool | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None


class _Look(msgspec.Struct, frozen=True, kw_only=True):
    image: Media

    @property
    def expected(self) -> Expected:
        return Expected(images=1, cost=IMAGE_COST)


class ClassifyImage(_Look, frozen=True, kw_only=True, tag="classify-image"):
    """Labels for an image. `function` is sigmoid, softmax or none; None: what the model's config says."""

    top_k: int | None = None  # None: 5
    function: str | None = None


class DetectObjects(_Look, frozen=True, kw_only=True, tag="detect-objects"):
    """Objects that are seen with a score of more than `threshold`."""

    threshold: float = 0.5


class SegmentImage(_Look, frozen=True, kw_only=True, tag="segment-image"):
    """The parts of an image. `subtask` is panoptic, instance or semantic; None: the first of these the model does."""

    threshold: float = 0.9
    mask_threshold: float = 0.5
    overlap_threshold: float = 0.5  # how much of a mask must be left where others lie over it
    subtask: str | None = None


class MatchLabels(_Look, frozen=True, kw_only=True, tag="match-labels"):
    """How well each of the labels fits the image; `template` makes a sentence of one, in the place of its `{}`."""

    labels: tuple[str, ...]
    template: str = "This is a photo of {}."

    @property
    def expected(self) -> Expected:
        tokens = tokens_in(*self.labels)
        return Expected(images=1, prompt_tokens=tokens, cost=IMAGE_COST + tokens)


class CaptionImage(_Look, frozen=True, kw_only=True, tag="caption-image"):
    """A text about an image; it goes on from `prompt` where there is one."""

    prompt: str = ""
    decoding: Decoding = Decoding()
    seed: int | None = None  # of sampling; None until the gateway has chosen one

    @property
    def expected(self) -> Expected:
        tokens = self.decoding.max_new_tokens or CAPTION_TOKENS
        return Expected(images=1, generated_tokens=tokens, cost=IMAGE_COST)


class AskImage(_Look, frozen=True, kw_only=True, tag="ask-image"):
    """A question about an image."""

    question: str
    top_k: int | None = None  # of models that choose among known answers; None: 5
    decoding: Decoding = Decoding()
    seed: int | None = None

    @property
    def expected(self) -> Expected:
        return Expected(images=1, prompt_tokens=tokens_in(self.question), cost=IMAGE_COST)


class Word(msgspec.Struct, frozen=True, array_like=True):
    """A word on a page, and its box from 0 to 1000 in each direction: left, top, right, bottom."""

    text: str
    box: tuple[int, int, int, int]


class AskDocument(_Look, frozen=True, kw_only=True, tag="ask-document"):
    """A question about a page. `words` are those that stand on it: there is no reading of pictures of text here."""

    question: str
    words: tuple[Word, ...] = ()  # empty: for models that read by themselves
    top_k: int = 1
    max_answer_words: int = 15
    may_be_unanswered: bool = False
    decoding: Decoding = Decoding()
    seed: int | None = None

    @property
    def expected(self) -> Expected:
        tokens = tokens_in(self.question) + 2 * len(self.words)
        return Expected(images=1, prompt_tokens=tokens, cost=IMAGE_COST + tokens)


class EstimateDepth(_Look, frozen=True, kw_only=True, tag="estimate-depth"):
    """How far away everything in an image is."""


class DescribeImage(_Look, frozen=True, kw_only=True, tag="describe-image"):
    """The vectors that a model has of an image; `pooled`: one for the whole image rather than one for each patch."""

    pooled: bool = False


class Box(msgspec.Struct, frozen=True, array_like=True):
    """A rectangle; the right and lower edges are inside."""

    xmin: int
    ymin: int
    xmax: int
    ymax: int


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """One object."""

    label: str
    score: float
    box: Box


class Objects(msgspec.Struct, frozen=True, tag="objects"):
    """The objects of an image, as the model ordered them."""

    objects: tuple[Seen, ...]


class Segment(msgspec.Struct, frozen=True, array_like=True):
    """One part of an image: `mask` is a PNG of the image's size, white where the part is."""

    label: str
    mask: bytes
    score: float | None = None  # None: the model gives none


class Segments(msgspec.Struct, frozen=True, tag="segments"):
    """The parts of an image."""

    segments: tuple[Segment, ...]


class Captions(msgspec.Struct, frozen=True, tag="captions"):
    """Texts about an image."""

    texts: tuple[str, ...]


class ImageAnswer(msgspec.Struct, frozen=True, array_like=True):
    """An answer. `start` and `end` are the first and last word of the page that it is made of."""

    answer: str
    score: float | None = None
    start: int | None = None
    end: int | None = None


class ImageAnswers(msgspec.Struct, frozen=True, tag="image-answers"):
    """Answers to one question, the best first."""

    answers: tuple[ImageAnswer, ...]


class Depth(msgspec.Struct, frozen=True, tag="depth"):
    """`picture` is a PNG of the image's size, the brightest where the model's value is highest.

    `data` holds the model's own values as float32 in rows, in its own resolution.
    """

    picture: MadeMedia
    data: bytes
    shape: tuple[int, int]  # rows, columns of `data`


class ImageVectors(msgspec.Struct, frozen=True, tag="image-vectors"):
    """`data` holds float32 values, row after row; `shape` is (dimensions) or (patches, dimensions)."""

    data: bytes
    shape: tuple[int, ...]


VisionWork = (
    ClassifyImage
    | DetectObjects
    | SegmentImage
    | MatchLabels
    | CaptionImage
    | AskImage
    | AskDocument
    | EstimateDepth
    | DescribeImage
)
VisionValue = Objects | Segments | Captions | ImageAnswers | Depth | ImageVectors
