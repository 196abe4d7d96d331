"""The tasks a model can have, under the names of the Hugging Face Hub's `pipeline_tag`."""

from enum import StrEnum


class Task(StrEnum):
    """What is asked of a model. The value is the Hub's name of the task."""

    TEXT_GENERATION = "text-generation"
    TEXT2TEXT_GENERATION = "text2text-generation"
    SUMMARIZATION = "summarization"
    TRANSLATION = "translation"
    FILL_MASK = "fill-mask"
    TEXT_CLASSIFICATION = "text-classification"
    TOKEN_CLASSIFICATION = "token-classification"
    QUESTION_ANSWERING = "question-answering"
    TABLE_QUESTION_ANSWERING = "table-question-answering"
    ZERO_SHOT_CLASSIFICATION = "zero-shot-classification"
    FEATURE_EXTRACTION = "feature-extraction"
    SENTENCE_SIMILARITY = "sentence-similarity"
    TEXT_RANKING = "text-ranking"
    CONVERSATIONAL = "conversational"
    TEXT_TO_IMAGE = "text-to-image"
    IMAGE_TO_IMAGE = "image-to-image"
    INPAINTING = "inpainting"
    IMAGE_TO_TEXT = "image-to-text"
    IMAGE_TEXT_TO_TEXT = "image-text-to-text"
    IMAGE_CLASSIFICATION = "image-classification"
    IMAGE_SEGMENTATION = "image-segmentation"
    OBJECT_DETECTION = "object-detection"
    DEPTH_ESTIMATION = "depth-estimation"
    IMAGE_FEATURE_EXTRACTION = "image-feature-extraction"
    ZERO_SHOT_IMAGE_CLASSIFICATION = "zero-shot-image-classification"
    VISUAL_QUESTION_ANSWERING = "visual-question-answering"
    DOCUMENT_QUESTION_ANSWERING = "document-question-answering"
    TEXT_TO_SPEECH = "text-to-speech"
    TEXT_TO_AUDIO = "text-to-audio"
    AUTOMATIC_SPEECH_RECOGNITION = "automatic-speech-recognition"
    AUDIO_CLASSIFICATION = "audio-classification"
    AUDIO_TO_AUDIO = "audio-to-audio"
    TABULAR_CLASSIFICATION = "tabular-classification"
    TABULAR_REGRESSION = "tabular-regression"

    # The house's own tasks: no client can name them, no model in the catalog has them.
    PREPARE = "prepare"
    CHECK_GRAMMAR = "check-grammar"
    EXPORT = "export"
    PULL = "pull"


INTERNAL_TASKS = frozenset({Task.PREPARE, Task.CHECK_GRAMMAR, Task.EXPORT, Task.PULL})

# What a model of a task does besides: `/pipeline/{task}/{id}` and OpenAI's routes choose between them.
BESIDES = {
    Task.FEATURE_EXTRACTION: frozenset({Task.SENTENCE_SIMILARITY, Task.TEXT_RANKING}),
    Task.SENTENCE_SIMILARITY: frozenset({Task.FEATURE_EXTRACTION, Task.TEXT_RANKING}),
    Task.TEXT_CLASSIFICATION: frozenset({Task.ZERO_SHOT_CLASSIFICATION, Task.TEXT_RANKING, Task.SENTENCE_SIMILARITY}),
    Task.ZERO_SHOT_CLASSIFICATION: frozenset({Task.TEXT_CLASSIFICATION}),
    Task.TEXT_RANKING: frozenset({Task.TEXT_CLASSIFICATION, Task.SENTENCE_SIMILARITY}),
    Task.TEXT_GENERATION: frozenset({Task.CONVERSATIONAL}),
    Task.TEXT2TEXT_GENERATION: frozenset({Task.SUMMARIZATION, Task.TRANSLATION, Task.CONVERSATIONAL}),
    Task.SUMMARIZATION: frozenset({Task.TEXT2TEXT_GENERATION}),
    Task.TRANSLATION: frozenset({Task.TEXT2TEXT_GENERATION}),
    Task.TEXT_TO_IMAGE: frozenset({Task.IMAGE_TO_IMAGE, Task.INPAINTING}),
    Task.IMAGE_TO_IMAGE: frozenset({Task.TEXT_TO_IMAGE, Task.INPAINTING}),
    Task.INPAINTING: frozenset({Task.IMAGE_TO_IMAGE, Task.TEXT_TO_IMAGE}),
    Task.TEXT_TO_SPEECH: frozenset({Task.TEXT_TO_AUDIO}),
    Task.TEXT_TO_AUDIO: frozenset({Task.TEXT_TO_SPEECH}),
    Task.IMAGE_TEXT_TO_TEXT: frozenset({Task.TEXT_GENERATION, Task.CONVERSATIONAL}),
}

# Tasks whose requests may carry images or sound, and so may be larger than text.
MEDIA_TASKS = frozenset(
    # A text-to-image model also changes images that are posted to its own address.
    {
        Task.TEXT_TO_IMAGE,
        Task.IMAGE_TO_IMAGE,
        Task.INPAINTING,
        Task.IMAGE_TO_TEXT,
        Task.IMAGE_TEXT_TO_TEXT,
        Task.IMAGE_CLASSIFICATION,
    }
    | {Task.IMAGE_SEGMENTATION, Task.OBJECT_DETECTION, Task.DEPTH_ESTIMATION, Task.ZERO_SHOT_IMAGE_CLASSIFICATION}
    | {Task.VISUAL_QUESTION_ANSWERING, Task.DOCUMENT_QUESTION_ANSWERING, Task.AUTOMATIC_SPEECH_RECOGNITION}
    | {Task.AUDIO_CLASSIFICATION, Task.AUDIO_TO_AUDIO, Task.IMAGE_FEATURE_EXTRACTION}
)


def does(model: Task, asked: Task) -> bool:
    """Whether a model of the one task can be asked for the other."""
    return asked is model or asked in BESIDES.get(model, ())
