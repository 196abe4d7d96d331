"""Tiny image models made on the spot: the real pipelines with random weights, and what bare diffusers makes of them.

`tiny_image_model` keeps torch out of this process; all else needs it here.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

MODELS = ("sdxl", "sd", "sd3", "flux", "pixart")
_made: dict[tuple[Path, str], Path] = {}


def tiny_image_model(base: Path, name: str = "sdxl") -> Path:
    """The folder of one of MODELS beneath `base`, made once for each process. Images of 64 by 64 pixels."""
    key = (base, name)
    if key not in _made:
        folder = base / f"tiny-{name}"
        _run(name, str(folder))
        _made[key] = folder
    return _made[key]


def _run(*arguments: str) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "tests.tiny_image", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=Path(__file__).parents[1])
    if done.returncode:
        raise RuntimeError(f"making {arguments[0]} failed: {done.stderr[-3000:]}")


def build(name: str, folder: str | Path) -> None:
    """As `tiny_image_model`, in this process."""
    import torch

    torch.manual_seed(0)
    makers = {"sdxl": sdxl, "sd": _sd, "sd3": _sd3, "flux": _flux, "pixart": _pixart}
    makers[name]().save_pretrained(folder)


def sdxl(*, blocks: tuple[int, ...] = (32, 64), side: int = 64, width: int = 32, layers: int = 1) -> Any:
    """SDXL with both text encoders; `blocks` are the denoiser's channels, `side` the pixels it is made for."""
    import diffusers as d

    unet = d.UNet2DConditionModel(
        block_out_channels=blocks,
        layers_per_block=layers,
        sample_size=side // 8,
        down_block_types=("DownBlock2D", *["CrossAttnDownBlock2D"] * (len(blocks) - 1)),
        up_block_types=(*["CrossAttnUpBlock2D"] * (len(blocks) - 1), "UpBlock2D"),
        attention_head_dim=tuple(max(2, each // 32) for each in blocks),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        transformer_layers_per_block=tuple(range(1, len(blocks) + 1)),
        projection_class_embeddings_input_dim=6 * 8 + width,
        cross_attention_dim=2 * width,
        norm_num_groups=16,
    )
    return d.StableDiffusionXLPipeline(
        vae=_vae(width=width),
        text_encoder=_clip(width),
        text_encoder_2=_clip(width, projected=True),
        tokenizer=_clip_tokenizer(),
        tokenizer_2=_clip_tokenizer(),
        unet=unet,
        scheduler=d.EulerDiscreteScheduler(
            beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, timestep_spacing="leading"
        ),
    )


def _sd() -> Any:
    import diffusers as d
    from transformers import CLIPImageProcessor

    unet = d.UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32,
        norm_num_groups=16,
    )
    return d.StableDiffusionPipeline(
        vae=_vae(),
        text_encoder=_clip(32),
        tokenizer=_clip_tokenizer(),
        unet=unet,
        scheduler=d.PNDMScheduler(beta_schedule="scaled_linear", skip_prk_steps=True),
        safety_checker=None,
        feature_extractor=CLIPImageProcessor(),
        requires_safety_checker=False,
    )


def _sd3() -> Any:
    import diffusers as d

    transformer = d.SD3Transformer2DModel(
        sample_size=8,
        patch_size=2,
        in_channels=16,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=64,
        caption_projection_dim=32,
        pooled_projection_dim=64,
        out_channels=16,
    )
    return d.StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=d.FlowMatchEulerDiscreteScheduler(),
        vae=_vae(latents=16, shift=0.0609),
        text_encoder=_clip(32, projected=True),
        tokenizer=_clip_tokenizer(),
        text_encoder_2=_clip(32, projected=True),
        tokenizer_2=_clip_tokenizer(),
        text_encoder_3=None,
        tokenizer_3=None,
    )


def _flux() -> Any:
    import diffusers as d

    transformer = d.FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=32,
        axes_dims_rope=(4, 4, 8),
    )
    return d.FluxPipeline(
        transformer=transformer,
        scheduler=d.FlowMatchEulerDiscreteScheduler(),
        vae=_vae(latents=4, shift=0.1),
        text_encoder=_clip(32),
        tokenizer=_clip_tokenizer(),
        text_encoder_2=_t5(32),
        tokenizer_2=_t5_tokenizer(),
    )


def _pixart() -> Any:
    import diffusers as d

    transformer = d.PixArtTransformer2DModel(
        sample_size=8,
        num_layers=1,
        patch_size=2,
        attention_head_dim=8,
        num_attention_heads=2,
        caption_channels=32,
        in_channels=4,
        cross_attention_dim=16,
        out_channels=8,
    )
    return d.PixArtSigmaPipeline(
        tokenizer=_t5_tokenizer(),
        text_encoder=_t5(32),
        vae=_vae(),
        transformer=transformer,
        scheduler=d.DPMSolverMultistepScheduler(),
    )


def _vae(*, width: int = 32, latents: int = 4, shift: float | None = None) -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        block_out_channels=[width] * 4,
        latent_channels=latents,
        norm_num_groups=16,
        sample_size=64,
        shift_factor=shift,
        use_quant_conv=shift is None,
        use_post_quant_conv=shift is None,
    ).eval()


def _clip(width: int, *, projected: bool = False) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=514,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=4,
        projection_dim=width,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=1,
    )
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config).eval()


def _clip_tokenizer() -> Any:
    """A vocabulary of bytes, each also at the end of a word."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    letters = sorted(ByteLevel.alphabet())
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={word: id for id, word in enumerate(words)}, merges=[], model_max_length=77)


def _t5(width: int) -> Any:
    from transformers import T5Config, T5EncoderModel

    config = T5Config(vocab_size=128, d_model=width, d_kv=8, d_ff=64, num_layers=1, num_heads=4)
    return T5EncoderModel(config).eval()


def _t5_tokenizer() -> Any:
    from transformers import T5TokenizerFast

    pieces = ["<pad>", "</s>", "<unk>", "▁", *(chr(code) for code in range(33, 127))]
    return T5TokenizerFast(vocab=[(piece, -1.0) for piece in pieces], extra_ids=0, model_max_length=77)


def write_lora(folder: Path, target: Path, *, scale: float = 0.3) -> Path:
    """A LoRA for the tiny SDXL's attention, as diffusers writes one."""
    import torch
    from diffusers import UNet2DConditionModel
    from safetensors.torch import save_file

    unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet", local_files_only=True)
    generator, tensors = torch.Generator().manual_seed(7), {}
    for name, module in unet.named_modules():
        if name.endswith("to_q"):
            wide, long = module.weight.shape
            tensors[f"unet.{name}.lora_A.weight"] = torch.randn(4, long, generator=generator) * scale
            tensors[f"unet.{name}.lora_B.weight"] = torch.randn(wide, 4, generator=generator) * scale
    target.mkdir(parents=True, exist_ok=True)
    save_file(tensors, target / "pytorch_lora_weights.safetensors")
    return target


def spoil(folder: Path) -> None:
    """Make one weight of the denoiser NaN."""
    from safetensors.torch import load_file, save_file

    [path] = folder.glob("unet/*.safetensors")
    tensors = load_file(path)
    tensors["conv_out.bias"][0] = float("nan")
    save_file(tensors, path, metadata={"format": "pt"})


def draw_bare(folder: Path, kind: str = "text", *, seed: int, **arguments: Any) -> Any:
    """What diffusers alone makes, as Pillow's image. `kind`: text, image or inpaint."""
    import diffusers as d
    import torch

    none = {"text_encoder_3": None, "tokenizer_3": None} if folder.name.endswith("sd3") else {}
    pipe = d.DiffusionPipeline.from_pretrained(folder, local_files_only=True, use_safetensors=True, **none)
    if lora := arguments.pop("lora", None):
        pipe.load_lora_weights(lora, weight_name="pytorch_lora_weights.safetensors")
    if name := arguments.pop("scheduler", None):
        pipe.scheduler = getattr(d, name).from_config(pipe.scheduler.config, **arguments.pop("options", {}))
    autos = {"image": d.AutoPipelineForImage2Image, "inpaint": d.AutoPipelineForInpainting}
    pipe = autos[kind].from_pipe(pipe) if kind in autos else pipe
    pipe.set_progress_bar_config(disable=True)
    return pipe(**arguments, generator=torch.Generator("cpu").manual_seed(seed)).images[0]


if __name__ == "__main__":
    build(*sys.argv[1:])
