"""Tiny models that hear and speak, made on the spot: real architectures with random weights. Needs torch."""

import json
from pathlib import Path
from typing import Any

WORDS = "abcdefghijklmnopqrstuvwxyz"


def enliven(module: Any, factor: float) -> None:
    """Larger weights than a model starts from: what goes in must show in what comes out."""
    import torch

    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim > 1:
                parameter *= factor


def fill_codebooks(codec: Any) -> None:
    """The codes of a new Encodec all mean the same."""
    import torch

    for layer in codec.quantizer.layers:
        torch.nn.init.normal_(layer.codebook.embed)


def build_bark(folder: Path) -> Path:
    """All three stages and the codec; two voice presets, `v2/en_speaker_0` and `v2/de_speaker_3`."""
    import numpy as np
    import torch
    from transformers import BarkConfig, BarkModel, EncodecConfig
    from transformers.models.bark import BarkCoarseConfig, BarkFineConfig, BarkSemanticConfig
    from transformers.models.bark.generation_configuration_bark import (
        BarkCoarseGenerationConfig,
        BarkFineGenerationConfig,
        BarkGenerationConfig,
        BarkSemanticGenerationConfig,
    )

    torch.manual_seed(0)
    sizes = {"num_layers": 1, "num_heads": 2, "hidden_size": 16}
    config = BarkConfig(
        semantic_config=BarkSemanticConfig(block_size=128, input_vocab_size=400, output_vocab_size=120, **sizes),
        coarse_acoustics_config=BarkCoarseConfig(block_size=128, input_vocab_size=300, output_vocab_size=300, **sizes),
        fine_acoustics_config=BarkFineConfig(block_size=64, input_vocab_size=65, output_vocab_size=65, **sizes),
        codec_config=EncodecConfig(
            sampling_rate=24_000, num_filters=4, hidden_size=16, codebook_dim=16, codebook_size=64, num_lstm_layers=1,
            upsampling_ratios=[8, 5, 4, 2], target_bandwidths=[6.0],
        ),
    )  # fmt: skip
    model = BarkModel(config)
    for stage in (model.semantic, model.coarse_acoustics, model.fine_acoustics):
        enliven(stage, 20)
    fill_codebooks(model.codec_model)
    model.save_pretrained(folder)
    generation = BarkGenerationConfig.from_sub_model_configs(
        BarkSemanticGenerationConfig(
            eos_token_id=100, max_new_tokens=60, do_sample=True, temperature=0.7, text_encoding_offset=110,
            text_pad_token=395, semantic_pad_token=100, semantic_infer_token=396, semantic_vocab_size=100,
            max_input_semantic_length=64,
        ),
        BarkCoarseGenerationConfig(
            do_sample=True, temperature=0.7, coarse_semantic_pad_token=260, coarse_infer_token=261,
            max_coarse_input_length=48, max_coarse_history=60, sliding_window_len=20, eos_token_id=None,
        ),
        BarkFineGenerationConfig(temperature=0.5, max_fine_history_length=32, max_fine_input_length=64),
    )  # fmt: skip
    generation.codebook_size = 64
    # transformers 5 cannot save what it can load.
    (folder / "generation_config.json").write_text(json.dumps(generation.to_dict()))
    build_word_pieces(folder)
    rng = np.random.default_rng(0)
    for name in ("en_speaker_0", "de_speaker_3"):
        (folder / "speaker_embeddings/v2").mkdir(parents=True, exist_ok=True)
        shapes = {"semantic": ((60,), 100), "coarse": ((2, 90), 64), "fine": ((8, 90), 64)}
        for part, (shape, most) in shapes.items():
            file = folder / f"speaker_embeddings/v2/{name}_{part}_prompt.npy"
            np.save(file, rng.integers(0, most, shape), allow_pickle=False)
    return folder


def build_word_pieces(folder: Path) -> Any:
    """BERT's tokenizer over single letters: what Bark reads."""
    from transformers import BertTokenizerFast

    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *(f"##{letter}" for letter in WORDS), *".,!?'"]
    tokenizer = BertTokenizerFast(vocab={token: number for number, token in enumerate(tokens)})
    tokenizer.save_pretrained(folder)
    return tokenizer


def build_vits(folder: Path, speakers: int = 1) -> Path:
    """MMS's layout: letters, no phonemes."""
    import torch
    from transformers import VitsConfig, VitsModel, VitsTokenizer

    torch.manual_seed(0)
    vocabulary = {token: number for number, token in enumerate(["_", *WORDS, " ", "'", "-", "<unk>"])}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    tokenizer = VitsTokenizer(
        str(folder / "vocab.json"), pad_token="_", unk_token="<unk>", phonemize=False, is_uroman=False, normalize=True
    )
    tokenizer.save_pretrained(folder)
    config = VitsConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, ffn_dim=16,
        flow_size=16, spectrogram_bins=9, upsample_initial_channel=16, duration_predictor_filter_channels=16,
        wavenet_dilation_rate=1, prior_encoder_num_flows=1, prior_encoder_num_wavenet_layers=1,
        posterior_encoder_num_wavenet_layers=1, duration_predictor_num_flows=1, depth_separable_num_layers=1,
        num_speakers=speakers, speaker_embedding_size=8 if speakers > 1 else 0, upsample_rates=[8, 8, 2, 2],
    )  # fmt: skip
    VitsModel(config).save_pretrained(folder)
    return folder


def build_whisper(folder: Path, languages: tuple[str, ...] = ("en", "de", "fr")) -> Path:
    """Multilingual, with times of words; its tokens are bytes."""
    import torch
    from transformers import GenerationConfig, WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

    torch.manual_seed(0)
    tokenizer = _whisper_tokenizer(languages)
    tokenizer.save_pretrained(folder)
    number = tokenizer.convert_tokens_to_ids
    end = number("<|endoftext|>")
    config = WhisperConfig(
        vocab_size=len(tokenizer), num_mel_bins=80, d_model=32, encoder_layers=1, decoder_layers=2,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32,
        max_source_positions=1500, max_target_positions=40, pad_token_id=end, bos_token_id=end, eos_token_id=end,
        decoder_start_token_id=number("<|startoftranscript|>"),
    )  # fmt: skip
    model = WhisperForConditionalGeneration(config)
    enliven(model, 6)
    letters = [number(letter) for letter in (*WORDS, "Ġ")]
    for layer in model.model.decoder.layers:
        enliven(layer.encoder_attn, 3)  # what is heard counts more than what was said
    with torch.no_grad():
        # Letters more than times, and none of them above all others.
        rows = model.model.decoder.embed_tokens.weight
        rows[letters] *= 4 * rows.norm(dim=1).mean() / rows[letters].norm(dim=1, keepdim=True)
    silent = sorted(set(range(len(tokenizer))) - {*letters, *range(number("<|0.00|>"), len(tokenizer)), end})
    model.generation_config = GenerationConfig(
        max_length=40, pad_token_id=end, bos_token_id=end, eos_token_id=end,
        decoder_start_token_id=number("<|startoftranscript|>"), no_timestamps_token_id=number("<|notimestamps|>"),
        is_multilingual=True, lang_to_id={f"<|{name}|>": number(f"<|{name}|>") for name in languages},
        task_to_id={name: number(f"<|{name}|>") for name in ("transcribe", "translate")},
        prev_sot_token_id=number("<|startofprev|>"), alignment_heads=[[1, 0], [1, 1]], max_initial_timestamp_index=50,
        suppress_tokens=silent, begin_suppress_tokens=[end], return_timestamps=False,
    )  # fmt: skip
    model.save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=80).save_pretrained(folder)
    return folder


def _whisper_tokenizer(languages: tuple[str, ...]) -> Any:
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import WhisperTokenizerFast

    vocabulary = {letter: number for number, letter in enumerate(sorted(ByteLevel.alphabet()))}
    tokenizer = WhisperTokenizerFast(vocab={**vocabulary, "<|endoftext|>": len(vocabulary)}, merges=[])
    marks = ["startoftranscript", *languages, "translate", "transcribe", "startoflm", "startofprev", "nospeech"]
    tokenizer.add_special_tokens({"additional_special_tokens": [f"<|{mark}|>" for mark in [*marks, "notimestamps"]]})
    tokenizer.add_tokens([f"<|{step * 0.02:.2f}|>" for step in range(1501)])
    return tokenizer


def build_wav2vec(folder: Path, head: str = "ctc", norm: str = "group") -> Path:
    """`head`: ctc | classification. With the norm `group` there is no mask, as in wav2vec2-base."""
    import torch
    from transformers import (
        Wav2Vec2Config,
        Wav2Vec2CTCTokenizer,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2ForCTC,
        Wav2Vec2ForSequenceClassification,
    )

    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    letters = ["<pad>", "<s>", "</s>", "<unk>", "|", *WORDS.upper()]
    config = Wav2Vec2Config(
        vocab_size=len(letters), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        conv_dim=(16, 16, 16, 16, 16, 16, 16), num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2,
        feat_extract_norm=norm, do_stable_layer_norm=norm == "layer", pad_token_id=0, classifier_proj_size=16,
        id2label=dict(enumerate(("dog", "cat", "bird", "rain", "bell", "wind"))),
    )  # fmt: skip
    model = (Wav2Vec2ForCTC if head == "ctc" else Wav2Vec2ForSequenceClassification)(config)
    enliven(model.wav2vec2.encoder, 5)
    enliven(model.lm_head if head == "ctc" else model.classifier, 20)
    model.save_pretrained(folder)
    Wav2Vec2FeatureExtractor(return_attention_mask=norm == "layer").save_pretrained(folder)
    if head == "ctc":
        (folder / "vocab.json").write_text(json.dumps({letter: number for number, letter in enumerate(letters)}))
        Wav2Vec2CTCTokenizer(str(folder / "vocab.json")).save_pretrained(folder)
    return folder


def build_speecht5(folder: Path, kind: str = "speech") -> Path:
    """`kind`: text | speech, what it begins with. With its vocoder, and a voice `ann`."""
    import numpy as np
    import torch
    from transformers import (
        SpeechT5Config,
        SpeechT5FeatureExtractor,
        SpeechT5ForSpeechToSpeech,
        SpeechT5HifiGan,
        SpeechT5HifiGanConfig,
    )

    torch.manual_seed(0)
    config = SpeechT5Config(
        vocab_size=40, hidden_size=32, encoder_layers=1, encoder_attention_heads=2, encoder_ffn_dim=32,
        decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=32, conv_dim=(16,) * 7, num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2, num_mel_bins=8, speech_decoder_prenet_units=16, speaker_embedding_dim=12,
        speech_decoder_postnet_units=16, speech_decoder_postnet_layers=2, reduction_factor=2, max_text_positions=100,
    )  # fmt: skip
    model = SpeechT5ForSpeechToSpeech(config)
    enliven(model, 3)
    model.save_pretrained(folder)
    SpeechT5FeatureExtractor(num_mel_bins=8).save_pretrained(folder)
    vocoder = SpeechT5HifiGanConfig(
        model_in_dim=8, upsample_initial_channel=16, upsample_rates=[4, 4, 4, 4], upsample_kernel_sizes=[8, 8, 8, 8],
        resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1, 3]],
    )  # fmt: skip
    voice = SpeechT5HifiGan(vocoder)
    enliven(voice, 12)
    voice.save_pretrained(folder / "vocoder")
    (folder / "speaker_embeddings").mkdir(exist_ok=True)
    np.save(folder / "speaker_embeddings/ann.npy", np.linspace(-1, 1, 12, dtype=np.float32), allow_pickle=False)
    return folder


def build_encodec(folder: Path) -> Path:
    import torch
    from transformers import EncodecConfig, EncodecFeatureExtractor, EncodecModel

    torch.manual_seed(0)
    config = EncodecConfig(
        sampling_rate=24_000, num_filters=4, hidden_size=16, codebook_dim=16, codebook_size=64, num_lstm_layers=1,
        upsampling_ratios=[8, 5, 4, 2], target_bandwidths=[6.0],
    )  # fmt: skip
    model = EncodecModel(config)
    fill_codebooks(model)
    model.save_pretrained(folder)
    EncodecFeatureExtractor(sampling_rate=24_000).save_pretrained(folder)
    return folder


def build_speecht5_text(folder: Path) -> Path:
    """Text to speech, beside what build_speecht5 makes; the tokenizer is trained on the spot."""
    import sentencepiece
    import torch
    from transformers import AutoConfig, SpeechT5ForTextToSpeech, SpeechT5Tokenizer

    build_speecht5(folder)
    torch.manual_seed(0)
    model = SpeechT5ForTextToSpeech(AutoConfig.from_pretrained(folder))
    enliven(model, 3)
    model.save_pretrained(folder)
    text, pieces = folder / "text.txt", folder / "spm_char"
    text.write_text(f"{WORDS} hello there\n" * 20)
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(pieces), vocab_size=35, model_type="char", hard_vocab_limit=False,
        bos_id=0, pad_id=1, eos_id=2, unk_id=3, minloglevel=2,
    )  # fmt: skip
    SpeechT5Tokenizer(f"{pieces}.model").save_pretrained(folder)
    return folder


def build_musicgen(folder: Path) -> Path:
    import torch
    from transformers import (
        EncodecConfig,
        MusicgenConfig,
        MusicgenDecoderConfig,
        MusicgenForConditionalGeneration,
        T5Config,
    )

    torch.manual_seed(0)
    text = T5Config(vocab_size=80, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    codec = EncodecConfig(
        sampling_rate=32_000, num_filters=4, hidden_size=16, codebook_dim=16, codebook_size=64, num_lstm_layers=1,
        upsampling_ratios=[8, 5, 4, 4], target_bandwidths=[2.2], normalize=False,
    )  # fmt: skip
    decoder = MusicgenDecoderConfig(
        vocab_size=64, hidden_size=16, num_hidden_layers=1, ffn_dim=16, num_attention_heads=2, num_codebooks=4,
        pad_token_id=64, bos_token_id=64,
    )  # fmt: skip
    config = MusicgenConfig(text_encoder=text.to_dict(), audio_encoder=codec.to_dict(), decoder=decoder.to_dict())
    model = MusicgenForConditionalGeneration(config)
    fill_codebooks(model.audio_encoder)
    enliven(model.decoder, 10)
    generation = model.generation_config
    generation.guidance_scale, generation.do_sample, generation.max_length = 3.0, True, 60
    generation.decoder_start_token_id = generation.pad_token_id = generation.bos_token_id = 64
    model.save_pretrained(folder)
    build_word_pieces(folder)
    return folder
