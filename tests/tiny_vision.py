"""Tiny models that look at images: real architectures with random weights, and tokenizers made on the spot.

`build(NAME, FOLDER)` in this process, or `python -m tests.tiny_vision FOLDER NAME...` where torch shall stay out of it.
"""

import io
import random
import sys
from pathlib import Path

LABELS = {0: "cat", 1: "dog", 2: "bird", 3: "tree"}
WORDS = "a photo of the cat dog bird tree red blue green what is this where on sky invoice total date name of"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def _classes() -> dict:
    return {"id2label": LABELS, "label2id": {name: id for id, name in LABELS.items()}}


def _save(folder: Path, *parts) -> Path:
    for part in parts:
        part.save_pretrained(folder)
    return folder


def word_tokenizer(length: int = 40):
    """A BERT tokenizer that knows a handful of words and all letters."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = [chr(code) for code in range(33, 127)]
    pieces = [*SPECIAL, *dict.fromkeys(WORDS.split()), *letters, *(f"##{letter}" for letter in letters)]
    vocabulary = {piece: id for id, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, mask_token="[MASK]", model_max_length=length, **names)


def letter_tokenizer(special: list[str], *, bos: str, eos: str, length: int = 512):
    """One token for each byte, after the special ones."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: id for id, piece in enumerate([*special, *letters])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token=special[0]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=bos, eos_token=eos, pad_token=special[0], model_max_length=length
    )


def _square(kind: str, size: int = 32, **more):
    import transformers

    return getattr(transformers, kind)(size={"height": size, "width": size}, **more)


_ENCODER = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}


def vit(folder: Path) -> Path:
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(image_size=32, patch_size=8, **_ENCODER, **_classes())
    return _save(folder, ViTForImageClassification(config), _square("ViTImageProcessor"))


def _detr_config(width: int = 32, heads: int = 2):
    from transformers import DetrConfig

    return DetrConfig(
        use_timm_backbone=False,
        backbone=None,
        backbone_config=_resnet(),
        d_model=width,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=heads,
        decoder_attention_heads=heads,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        num_queries=10,
        **_classes(),
    )


def _resnet():
    from transformers import ResNetConfig

    return ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16, 16, 32],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )


def _detr_images():
    from transformers import DetrImageProcessor

    return DetrImageProcessor(size={"shortest_edge": 64, "longest_edge": 96})


def detr(folder: Path) -> Path:
    from transformers import DetrForObjectDetection

    return _save(folder, DetrForObjectDetection(_detr_config()), _detr_images())


def detr_panoptic(folder: Path) -> Path:
    from transformers import DetrForSegmentation

    model = DetrForSegmentation(_detr_config(64, 8))
    _favour_things(model.detr.class_labels_classifier)
    return _save(folder, model, _detr_images())


def _favour_things(classifier) -> None:
    """Random weights find nothing anywhere; these find one of the classes in each place."""
    import torch

    with torch.no_grad():
        classifier.weight.normal_(std=2.0)
        classifier.bias[-1] -= 20.0


def yolos(folder: Path) -> Path:
    from transformers import YolosConfig, YolosForObjectDetection, YolosImageProcessor

    config = YolosConfig(image_size=[64, 96], patch_size=16, num_detection_tokens=10, **_ENCODER, **_classes())
    images = YolosImageProcessor(size={"shortest_edge": 64, "longest_edge": 96})
    return _save(folder, YolosForObjectDetection(config), images)


def segformer(folder: Path) -> Path:
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    config = SegformerConfig(
        num_encoder_blocks=2,
        depths=[1, 1],
        sr_ratios=[2, 1],
        hidden_sizes=[16, 32],
        patch_sizes=[7, 3],
        strides=[4, 2],
        num_attention_heads=[1, 2],
        mlp_ratios=[2, 2],
        decoder_hidden_size=32,
        **_classes(),
    )
    return _save(folder, SegformerForSemanticSegmentation(config), _square("SegformerImageProcessor"))


def maskformer(folder: Path) -> Path:
    from transformers import MaskFormerConfig, MaskFormerForInstanceSegmentation, MaskFormerImageProcessor

    config = MaskFormerConfig(
        fpn_feature_size=32,
        mask_feature_size=32,
        backbone_config=_resnet().to_dict(),
        decoder_config={
            "model_type": "detr",
            "d_model": 32,
            "encoder_layers": 1,
            "decoder_layers": 1,
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 64,
            "decoder_ffn_dim": 64,
            "num_queries": 10,
        },
        **_classes(),
    )
    images = MaskFormerImageProcessor(size={"shortest_edge": 64, "longest_edge": 96}, ignore_index=255)
    model = MaskFormerForInstanceSegmentation(config)
    _favour_things(model.class_predictor)
    return _save(folder, model, images)


def _blip_config():
    from transformers import BlipConfig

    tokenizer = word_tokenizer()
    text = {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 64,
        "bos_token_id": tokenizer.cls_token_id,
        "eos_token_id": tokenizer.sep_token_id,
        "sep_token_id": tokenizer.sep_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "encoder_hidden_size": 32,
    }
    return BlipConfig(
        text_config=_ENCODER | text, vision_config=_ENCODER | {"image_size": 32, "patch_size": 8}, projection_dim=16
    )


def _blip_parts():
    from transformers import BlipImageProcessor, BlipProcessor

    images = BlipImageProcessor(size={"height": 32, "width": 32})
    return BlipProcessor(image_processor=images, tokenizer=word_tokenizer())


def blip(folder: Path) -> Path:
    from transformers import BlipForConditionalGeneration

    return _save(folder, BlipForConditionalGeneration(_blip_config()), _blip_parts())


def blip_vqa(folder: Path) -> Path:
    from transformers import BlipForQuestionAnswering

    return _save(folder, BlipForQuestionAnswering(_blip_config()), _blip_parts())


def vit_gpt2(folder: Path) -> Path:
    from transformers import GPT2Config, VisionEncoderDecoderConfig, VisionEncoderDecoderModel, ViTConfig

    tokenizer = letter_tokenizer(["<|endoftext|>"], bos="<|endoftext|>", eos="<|endoftext|>")
    decoder = GPT2Config(
        vocab_size=len(tokenizer), n_embd=32, n_layer=1, n_head=2, n_positions=128, tie_word_embeddings=False
    )
    decoder.is_decoder = decoder.add_cross_attention = True
    encoder = ViTConfig(image_size=32, patch_size=8, **_ENCODER)
    config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    model = VisionEncoderDecoderModel(config)
    _set_ends(model, start=0, end=0, pad=0)
    return _save(folder, model, _square("ViTImageProcessor"), tokenizer)


def _set_ends(model, *, start: int, end: int, pad: int) -> None:
    for place in (model.config, model.generation_config):
        place.decoder_start_token_id, place.eos_token_id, place.pad_token_id = start, end, pad
    model.generation_config.bos_token_id = start


def donut(folder: Path) -> Path:
    from transformers import (
        DonutImageProcessor,
        DonutProcessor,
        DonutSwinConfig,
        MBartConfig,
        VisionEncoderDecoderConfig,
        VisionEncoderDecoderModel,
    )

    tags = ["<s_docvqa>", "<s_question>", "</s_question>", "<s_answer>", "</s_answer>"]
    tokenizer = letter_tokenizer(["<pad>", "<s>", "</s>", *tags], bos="<s>", eos="</s>")
    decoder = MBartConfig(
        vocab_size=len(tokenizer),
        d_model=32,
        decoder_layers=1,
        decoder_attention_heads=2,
        decoder_ffn_dim=64,
        max_position_embeddings=192,
        is_decoder=True,
        add_cross_attention=True,
        is_encoder_decoder=False,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    encoder = DonutSwinConfig(
        image_size=[64, 64], patch_size=4, embed_dim=16, depths=[1, 1], num_heads=[1, 2], window_size=4
    )
    model = VisionEncoderDecoderModel(VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder))
    _set_ends(model, start=3, end=2, pad=0)
    images = DonutImageProcessor(size={"height": 64, "width": 64})
    return _save(folder, model, DonutProcessor(image_processor=images, tokenizer=tokenizer))


def layoutlm(folder: Path) -> Path:
    from transformers import LayoutLMConfig, LayoutLMForQuestionAnswering

    tokenizer = word_tokenizer(64)
    config = LayoutLMConfig(vocab_size=len(tokenizer), max_position_embeddings=64, **_ENCODER)
    return _save(folder, LayoutLMForQuestionAnswering(config), tokenizer)


def vilt(folder: Path) -> Path:
    from transformers import ViltConfig, ViltForQuestionAnswering, ViltImageProcessor, ViltProcessor

    tokenizer = word_tokenizer(40)
    config = ViltConfig(
        vocab_size=len(tokenizer), image_size=32, patch_size=8, max_position_embeddings=40, **_ENCODER, **_classes()
    )
    images = ViltImageProcessor(size={"shortest_edge": 32}, size_divisor=8)
    return _save(folder, ViltForQuestionAnswering(config), ViltProcessor(image_processor=images, tokenizer=tokenizer))


def clip(folder: Path) -> Path:
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    tokenizer = letter_tokenizer(
        ["<pad>", "<|startoftext|>", "<|endoftext|>"], bos="<|startoftext|>", eos="<|endoftext|>"
    )
    text = _ENCODER | {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 77,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    config = CLIPConfig(
        text_config=text, vision_config=_ENCODER | {"image_size": 32, "patch_size": 8}, projection_dim=16
    )
    images = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    return _save(folder, CLIPModel(config), images, tokenizer)


def siglip(folder: Path) -> Path:
    from transformers import SiglipConfig, SiglipModel

    tokenizer = letter_tokenizer(["<pad>", "<s>", "</s>"], bos="<s>", eos="</s>", length=64)
    text = _ENCODER | {"vocab_size": len(tokenizer), "max_position_embeddings": 64, "pad_token_id": 0}
    config = SiglipConfig(text_config=text, vision_config=_ENCODER | {"image_size": 32, "patch_size": 8})
    return _save(folder, SiglipModel(config), _square("SiglipImageProcessor"), tokenizer)


def dpt(folder: Path) -> Path:
    from transformers import DPTConfig, DPTForDepthEstimation

    config = DPTConfig(
        image_size=32,
        patch_size=8,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 8, 16, 16],
        fusion_hidden_size=16,
        **(_ENCODER | {"num_hidden_layers": 4}),
    )
    return _save(folder, DPTForDepthEstimation(config), _square("DPTImageProcessor"))


def picture(seed: int, size: tuple[int, int] = (48, 40), format: str = "PNG") -> bytes:
    """The bytes of an image of coloured patches; another seed, another image."""
    from PIL import Image

    rng = random.Random(seed)
    patches = Image.frombytes("RGB", (8, 8), rng.randbytes(3 * 64))
    out = io.BytesIO()
    patches.resize(size).save(out, format)
    return out.getvalue()


def build(name: str, folder: Path) -> Path:
    """Make a model by the name of its function here; the same weights each time."""
    import torch

    torch.manual_seed(0)
    made: Path = globals()[name](folder)
    return made


if __name__ == "__main__":
    for each in sys.argv[2:]:
        build(each, Path(sys.argv[1]) / each)
