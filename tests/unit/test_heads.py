"""Which task and engine the files of published models stand for: one line for each kind of model."""

import pytest

from pronto.catalog.detect import detect
from pronto.catalog.sources import Description
from pronto.core.tasks import INTERNAL_TASKS, Task

# model_type, class, pipeline_tag of the card -> task, engine
MODELS = [
    ("llama", "LlamaForCausalLM", None, "text-generation", "openvino"),
    ("qwen3", "Qwen3ForCausalLM", "text-generation", "text-generation", "openvino"),
    ("gpt2", "GPT2LMHeadModel", None, "text-generation", "openvino"),
    ("mamba", "MambaForCausalLM", "text-generation", "text-generation", "transformers"),
    ("rwkv", "RwkvForCausalLM", None, "text-generation", "transformers"),
    ("nemotron", "NemotronForCausalLM", None, "text-generation", "transformers"),
    ("bert", "BertForMaskedLM", "fill-mask", "fill-mask", "pipelines-text"),
    ("roberta", "RobertaForSequenceClassification", None, "text-classification", "pipelines-text"),
    ("bart", "BartForSequenceClassification", "zero-shot-classification", "zero-shot-classification", "pipelines-text"),
    ("bert", "BertForTokenClassification", "token-classification", "token-classification", "pipelines-text"),
    ("distilbert", "DistilBertForQuestionAnswering", None, "question-answering", "pipelines-text"),
    ("tapas", "TapasForQuestionAnswering", None, "table-question-answering", "pipelines-text"),
    ("t5", "T5ForConditionalGeneration", None, "text2text-generation", "pipelines-text"),
    ("t5", "T5ForConditionalGeneration", "translation", "translation", "pipelines-text"),
    ("bart", "BartForConditionalGeneration", "summarization", "summarization", "pipelines-text"),
    ("marian", "MarianMTModel", None, "translation", "pipelines-text"),
    ("m2m_100", "M2M100ForConditionalGeneration", None, "translation", "pipelines-text"),
    ("blenderbot", "BlenderbotForConditionalGeneration", None, "text2text-generation", "pipelines-text"),
    ("bert", "BertForSequenceClassification", "text-ranking", "text-ranking", "cross-encoder"),
    ("roberta", "RobertaForMaskedLM", "sentence-similarity", "sentence-similarity", "sentence-embedding"),
    ("bert", "BertModel", "feature-extraction", "feature-extraction", "sentence-embedding"),
    ("mpnet", "MPNetModel", "sentence-similarity", "sentence-similarity", "sentence-embedding"),
    ("vit", "ViTForImageClassification", None, "image-classification", "pipelines-vision"),
    ("detr", "DetrForObjectDetection", None, "object-detection", "pipelines-vision"),
    ("detr", "DetrForSegmentation", None, "image-segmentation", "pipelines-vision"),
    ("segformer", "SegformerForSemanticSegmentation", None, "image-segmentation", "pipelines-vision"),
    ("mask2former", "Mask2FormerForUniversalSegmentation", None, "image-segmentation", "pipelines-vision"),
    ("dpt", "DPTForDepthEstimation", None, "depth-estimation", "pipelines-vision"),
    ("blip", "BlipForConditionalGeneration", "image-to-text", "image-to-text", "pipelines-vision"),
    ("blip", "BlipForQuestionAnswering", None, "visual-question-answering", "pipelines-vision"),
    ("vilt", "ViltForQuestionAnswering", None, "visual-question-answering", "pipelines-vision"),
    ("layoutlm", "LayoutLMForQuestionAnswering", None, "document-question-answering", "pipelines-vision"),
    ("vision-encoder-decoder", "VisionEncoderDecoderModel", None, "image-to-text", "pipelines-vision"),
    (
        *("vision-encoder-decoder", "VisionEncoderDecoderModel", "document-question-answering"),
        *("document-question-answering", "pipelines-vision"),
    ),
    ("llava", "LlavaForConditionalGeneration", None, "image-text-to-text", "transformers-vlm"),
    ("clip", "CLIPModel", None, "zero-shot-image-classification", "pipelines-vision"),
    ("encodec", "EncodecModel", None, "audio-to-audio", "pipelines-audio"),
    ("vit", "ViTModel", "image-feature-extraction", "image-feature-extraction", "pipelines-vision"),
    ("whisper", "WhisperForConditionalGeneration", None, "automatic-speech-recognition", "pipelines-audio"),
    ("wav2vec2", "Wav2Vec2ForCTC", None, "automatic-speech-recognition", "pipelines-audio"),
    ("wav2vec2", "Wav2Vec2ForSequenceClassification", None, "audio-classification", "pipelines-audio"),
    ("audio-spectrogram-transformer", "ASTForAudioClassification", None, "audio-classification", "pipelines-audio"),
    ("speecht5", "SpeechT5ForSpeechToSpeech", None, "audio-to-audio", "pipelines-audio"),
    ("speecht5", "SpeechT5ForTextToSpeech", None, "text-to-speech", "text-to-audio"),
    ("bark", "BarkModel", None, "text-to-speech", "bark"),
    ("vits", "VitsModel", None, "text-to-speech", "text-to-audio"),
    ("musicgen", "MusicgenForConditionalGeneration", None, "text-to-audio", "text-to-audio"),
]


def described(weights: str = "model.safetensors", tag: str | None = None, **config: object) -> Description:
    documents = {f"{name}.json": value for name, value in config.items()}
    return Description(files={weights: 1}, bytes=1, revision="", config=documents, pipeline_tag=tag)


@pytest.mark.parametrize(("kind", "architecture", "tag", "task", "engine"), MODELS)
def test_a_published_model(kind: str, architecture: str, tag: str | None, task: str, engine: str) -> None:
    found = detect(described(tag=tag, config={"model_type": kind, "architectures": [architecture]}))
    assert (found.task, found.engine, found.architecture) == (task, engine, architecture)


@pytest.mark.parametrize(
    ("pipeline", "task"),
    [
        ("StableDiffusionXLPipeline", Task.TEXT_TO_IMAGE),
        ("StableDiffusion3Pipeline", Task.TEXT_TO_IMAGE),
        ("StableDiffusionXLImg2ImgPipeline", Task.IMAGE_TO_IMAGE),
        ("StableDiffusionInpaintPipeline", Task.IMAGE_TO_IMAGE),
        ("FluxPipeline", Task.TEXT_TO_IMAGE),
        ("PixArtSigmaPipeline", Task.TEXT_TO_IMAGE),
    ],
)
def test_a_pipeline(pipeline: str, task: Task) -> None:
    found = detect(described("unet/model.safetensors", model_index={"_class_name": pipeline}))
    assert (found.task, found.engine) == (task, "diffusers")


@pytest.mark.parametrize("tag", ["tabular-classification", "tabular-regression"])
def test_tables(tag: str) -> None:
    config = {"sklearn": {"model": {"file": "model.skops"}, "task": tag}}
    found = detect(described("model.skops", config=config))
    assert (found.task, found.engine) == (tag, "tabular")
    with pytest.raises(ValueError, match="pickled"):
        detect(described("model.pkl", config=config))


def test_every_task_has_a_model_that_is_found_for_it() -> None:
    known = {task for _, _, _, task, _ in MODELS} | {"text-to-image", "image-to-image"}
    known |= {"tabular-classification", "tabular-regression"}
    known |= {"inpainting", "conversational"}  # asked of models that have another task
    wanted = {task.value for task in Task if task not in INTERNAL_TASKS}
    assert wanted <= known


@pytest.mark.parametrize(
    ("kind", "architecture"),
    [("vit", "ViTModel"), ("sam", "SamModel"), ("detr", "DetrModel"), ("", "OddModel")],
)
def test_what_nobody_can_ask_for(kind: str, architecture: str) -> None:
    config = {"model_type": kind, "architectures": [architecture]}
    with pytest.raises(ValueError, match="not one that Pronto can serve"):
        detect(described(config=config))


@pytest.mark.parametrize("pipeline", ["StableDiffusionUpscalePipeline", "AnimateDiffVideoPipeline", "OddPipeline"])
def test_pipelines_that_are_not_served(pipeline: str) -> None:
    with pytest.raises(ValueError, match="not one that Pronto can serve"):
        detect(described("unet/model.safetensors", model_index={"_class_name": pipeline}))
