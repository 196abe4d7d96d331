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
    TEXT_TO_IMAGE = "text-to-image"
    IMAGE_TO_IMAGE = "image-to-image"
    IMAGE_TO_TEXT = "image-to-text"
    IMAGE_TEXT_TO_TEXT = "image-text-to-text"
    IMAGE_CLASSIFICATION = "image-classification"
    IMAGE_SEGMENTATION = "image-segmentation"
    OBJECT_DETECTION = "object-detection"
    DEPTH_ESTIMATION = "depth-estimation"
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
