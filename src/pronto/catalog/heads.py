"""From the class and the kind that config.json names to a task and an engine. Pure: knows no files.

The last part of a class's name says what it was made for, and the model's card chooses where it can do several things.
"""

from collections.abc import Mapping
from typing import Any

from pronto.core.tasks import Task

TEXT, VISION, AUDIO, SPEECH = "pipelines-text", "pipelines-vision", "pipelines-audio", "text-to-audio"
OPENVINO, TRANSFORMERS, SEEING = "openvino", "transformers", "transformers-vlm"
VECTORS, RANKING = "sentence-embedding", "cross-encoder"

# model_type of config.json: decoders that the OpenVINO export knows and the continuous batching serves.
DECODERS = frozenset(
    {"bloom", "codegen", "cohere", "falcon", "gemma", "gemma2", "gemma3_text", "gpt2", "gpt_bigcode", "gpt_neox"}
    | {"gptj", "granite", "llama", "mistral", "mixtral", "mpt", "olmo", "olmo2", "opt", "phi", "phi3", "qwen2"}
    | {"qwen2_moe", "qwen3", "qwen3_moe", "smollm3", "stablelm", "starcoder2"}
)
_DECODER_HEADS = ("ForCausalLM", "LMHeadModel")
# Theirs are heads for continuing as well, but they were trained to fill in or to read aloud.
_NO_DECODERS = frozenset({"bert", "roberta", "xlm-roberta", "electra", "camembert", "big_bird", "whisper", "speecht5"})

_SPEAKERS = {
    "bark": Task.TEXT_TO_SPEECH,
    "vits": Task.TEXT_TO_SPEECH,
    "musicgen": Task.TEXT_TO_AUDIO,
}
_HEARERS = frozenset({"whisper"})
_CODECS = frozenset({"encodec", "dac", "mimi"})
_AUDIO_KINDS = frozenset(
    {"audio-spectrogram-transformer", "data2vec-audio", "hubert", "sew", "sew-d", "unispeech", "unispeech-sat"}
    | {"wav2vec2", "wav2vec2-bert", "wav2vec2-conformer", "wavlm", "whisper"}
)
_CAPTIONERS = frozenset({"blip", "blip-2", "git", "pix2struct", "vision-encoder-decoder"})
_SEERS = frozenset(  # they take images in a conversation
    {"llava", "llava_next", "qwen2_vl", "qwen2_5_vl", "idefics2", "idefics3", "smolvlm", "paligemma", "gemma3"}
    | {"mllama", "internvl"}
)
_WRITERS = frozenset(
    {"t5", "mt5", "umt5", "longt5", "bart", "mbart", "pegasus", "pegasus_x", "m2m_100", "led", "bigbird_pegasus"}
    | {"blenderbot", "blenderbot-small", "prophetnet", "xlm-prophetnet", "plbart", "fsmt", "switch_transformers"}
    | {"encoder-decoder", "marian", "nllb-moe"}
)
_MATCHERS = frozenset({"clip", "siglip", "siglip2", "chinese_clip", "altclip", "align"})
_ENCODERS = frozenset(
    {"albert", "bert", "camembert", "deberta", "deberta-v2", "distilbert", "electra", "mpnet", "modernbert", "roberta"}
    | {"xlm-roberta", "big_bird", "longformer", "funnel", "mobilebert", "nomic_bert", "qwen2", "qwen3", "mistral"}
)

# What a class whose name ends so does, and what else its card may say that it does. The first that fits.
_HEADS: tuple[tuple[str, str, Task, frozenset[Task]], ...] = (
    ("ForMaskedLM", TEXT, Task.FILL_MASK, frozenset()),
    ("ForSequenceClassification", TEXT, Task.TEXT_CLASSIFICATION, frozenset({Task.ZERO_SHOT_CLASSIFICATION})),
    ("ForTokenClassification", TEXT, Task.TOKEN_CLASSIFICATION, frozenset()),
    ("ForQuestionAnswering", TEXT, Task.QUESTION_ANSWERING, frozenset()),
    ("ForImageClassification", VISION, Task.IMAGE_CLASSIFICATION, frozenset()),
    ("ForImageClassificationWithTeacher", VISION, Task.IMAGE_CLASSIFICATION, frozenset()),
    ("ForObjectDetection", VISION, Task.OBJECT_DETECTION, frozenset()),
    ("Segmentation", VISION, Task.IMAGE_SEGMENTATION, frozenset()),
    ("ForDepthEstimation", VISION, Task.DEPTH_ESTIMATION, frozenset()),
    ("ForCTC", AUDIO, Task.AUTOMATIC_SPEECH_RECOGNITION, frozenset()),
    ("ForAudioClassification", AUDIO, Task.AUDIO_CLASSIFICATION, frozenset()),
    ("ForSpeechToSpeech", AUDIO, Task.AUDIO_TO_AUDIO, frozenset()),
    ("ForSpeechToText", AUDIO, Task.AUTOMATIC_SPEECH_RECOGNITION, frozenset()),
    ("ForTextToSpeech", SPEECH, Task.TEXT_TO_SPEECH, frozenset()),
)
# model_type of classes that answer questions about something else than a text.
_ASKED = {
    "tapas": (TEXT, Task.TABLE_QUESTION_ANSWERING),
    "vilt": (VISION, Task.VISUAL_QUESTION_ANSWERING),
    "blip": (VISION, Task.VISUAL_QUESTION_ANSWERING),
    "lxmert": (VISION, Task.VISUAL_QUESTION_ANSWERING),
    "layoutlm": (VISION, Task.DOCUMENT_QUESTION_ANSWERING),
    "layoutlmv2": (VISION, Task.DOCUMENT_QUESTION_ANSWERING),
    "layoutlmv3": (VISION, Task.DOCUMENT_QUESTION_ANSWERING),
}
_WRITING = frozenset({Task.SUMMARIZATION, Task.TRANSLATION, Task.TEXT2TEXT_GENERATION, Task.TABLE_QUESTION_ANSWERING})
_CAPTIONS = frozenset({Task.IMAGE_TO_TEXT, Task.VISUAL_QUESTION_ANSWERING, Task.DOCUMENT_QUESTION_ANSWERING})


def kind_of(config: Mapping[str, Any], architecture: str, tag: Task | None) -> tuple[Task, str] | None:
    """(task, engine); None: not one that can be served. `tag` is the task of the model's card."""
    kind = str(config.get("model_type", ""))
    has_head = bool(config.get("architectures"))
    return (
        _speaking(kind)
        or _continuing(kind, architecture, has_head=has_head)
        or _asked(kind, architecture)
        or _by_head(kind, architecture, tag)
        or _generating(kind, architecture, tag)
        or _bare(kind, architecture, tag)
    )


def _speaking(kind: str) -> tuple[Task, str] | None:
    task = _SPEAKERS.get(kind)
    return (task, kind if kind == "bark" else SPEECH) if task is not None else None


def _continuing(kind: str, architecture: str, *, has_head: bool) -> tuple[Task, str] | None:
    if kind in DECODERS and (architecture.endswith(_DECODER_HEADS) or not has_head):
        return Task.TEXT_GENERATION, OPENVINO
    if architecture.endswith(_DECODER_HEADS) and kind not in _NO_DECODERS | _WRITERS | _CAPTIONERS:
        return Task.TEXT_GENERATION, TRANSFORMERS
    return None


def _asked(kind: str, architecture: str) -> tuple[Task, str] | None:
    if not architecture.endswith("ForQuestionAnswering") or kind not in _ASKED:
        return None
    engine, task = _ASKED[kind]
    return task, engine


def _by_head(kind: str, architecture: str, tag: Task | None) -> tuple[Task, str] | None:
    if architecture.endswith("ForSequenceClassification") and kind in _AUDIO_KINDS:
        return Task.AUDIO_CLASSIFICATION, AUDIO
    if kind == "tapas" and architecture.endswith("ForSequenceClassification"):
        return Task.TABLE_QUESTION_ANSWERING, TEXT
    if architecture.endswith("ForSequenceClassification") and tag is Task.TEXT_RANKING:
        return Task.TEXT_RANKING, RANKING
    if architecture.endswith("ForMaskedLM") and tag in (Task.FEATURE_EXTRACTION, Task.SENTENCE_SIMILARITY):
        return tag, VECTORS
    for end, engine, task, others in _HEADS:
        if architecture.endswith(end):
            return (tag if tag is not None and tag in others else task), engine
    return None


def _generating(kind: str, architecture: str, tag: Task | None) -> tuple[Task, str] | None:
    if kind in _HEARERS:
        return Task.AUTOMATIC_SPEECH_RECOGNITION, AUDIO
    if kind in _CODECS:
        return Task.AUDIO_TO_AUDIO, AUDIO
    if kind in _CAPTIONERS:
        return (tag if tag is not None and tag in _CAPTIONS else Task.IMAGE_TO_TEXT), VISION
    if kind in _SEERS:
        return Task.IMAGE_TEXT_TO_TEXT, SEEING
    if (kind in _WRITERS and not architecture.endswith("Model")) or architecture == "MarianMTModel":
        usual = Task.TRANSLATION if kind in ("marian", "m2m_100", "nllb-moe", "fsmt") else Task.TEXT2TEXT_GENERATION
        return (tag if tag is not None and tag in _WRITING else usual), TEXT
    return None


def _bare(kind: str, architecture: str, tag: Task | None) -> tuple[Task, str] | None:
    if kind in _MATCHERS:
        return Task.ZERO_SHOT_IMAGE_CLASSIFICATION, VISION
    if tag is Task.IMAGE_FEATURE_EXTRACTION and architecture.endswith("Model"):
        return tag, VISION
    # Also models for training on, whose class has a head that nobody asks for.
    if kind in _ENCODERS and architecture.endswith(("Model", "ForPreTraining", kind)):
        is_alike = tag is Task.SENTENCE_SIMILARITY
        return (Task.SENTENCE_SIMILARITY if is_alike else Task.FEATURE_EXTRACTION), VECTORS
    return None
