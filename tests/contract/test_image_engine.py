"""Image models through the real engine, beside what diffusers alone makes of the same request."""

import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image

from pronto.core.events import Done, Finish, Output, Progress
from pronto.core.image_work import Images, MakeImage
from pronto.core.media import Media
from pronto.core.model import EngineSettings, Model, Source
from pronto.core.request import Export, InferenceRequest
from pronto.core.tasks import Task
from pronto.engines.base import Device, Failed
from tests import tiny_image

ASKED = {"width": 64, "height": 64, "steps": 3, "seed": 5, "format": "image/png"}
PROMPT = "an astronaut riding a horse"


@pytest.fixture(autouse=True)
def _others_warnings() -> Iterator[None]:
    """torch, transformers and diffusers warn of each other."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class Studio:
    """Engines by the folder of their model, each loaded once; `ticks` is what the last request said on the way."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self._engines: dict[tuple[str, Path | None], Any] = {}
        self.ticks: list[Any] = []
        self.leave_after: int | None = None  # ticks with an event, after which request 1 is cancelled

    def folder(self, name: str) -> Path:
        folder = self.base / f"tiny-{name}"
        if not folder.exists():
            tiny_image.build(name, folder)
        return folder

    def engine(self, name: str, lora: Path | None = None) -> Any:
        from pronto.engines.diffusers_image import engine

        key = (name, lora)
        if key not in self._engines:
            made = engine()
            model = Model(
                id="a/b",
                task=Task.TEXT_TO_IMAGE,
                engine="diffusers",
                source=Source(folder="x"),
                revision="r",
                folder=str(self.folder(name)),
                adapter_folder=str(lora) if lora else None,
            )
            capabilities = made.load(model, Device(threads=1), self._tick)
            assert capabilities.slots == 1
            self._engines[key] = made
        return self._engines[key]

    def ask(self, name: str, prompt: str = PROMPT, *, lora: Path | None = None, **work: Any) -> list[Any]:
        """All events of one request, those of ticks first."""
        engine = self.engine(name, lora)
        self.ticks = []
        asked = MakeImage(**{"prompt": prompt, **ASKED, **work})
        engine.add(1, InferenceRequest(id="r", model="a/b", task=Task.TEXT_TO_IMAGE, work=asked))
        said: list[Any] = []
        while engine.stats().running:
            said += [event for _, event in engine.step()]
        return [*self.ticks, *said]

    def images(self, name: str, **work: Any) -> list[bytes]:
        *_, output, done = self.ask(name, **work)
        assert isinstance(output, Output), output
        assert isinstance(output.value, Images)
        assert isinstance(done, Done)
        assert done.usage.images == len(output.value.images)
        return [made.data for made in output.value.images]

    def image(self, name: str, **work: Any) -> Image.Image:
        [data] = self.images(name, **work)
        return Image.open(io.BytesIO(data))

    def _tick(self, events: Any) -> frozenset[int]:
        self.ticks += [event for _, event in events]
        steps = [event for event in self.ticks if event.unit == "steps"]
        return frozenset({1}) if self.leave_after is not None and len(steps) >= self.leave_after else frozenset()


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Studio(tmp_path_factory.mktemp("images"))


def media(image: Image.Image, kind: str = "PNG", name: str = "inputs") -> Media:
    out = io.BytesIO()
    image.save(out, kind)
    return Media(digest="d" + name, size=len(out.getvalue()), data=out.getvalue(), name=name)


def picture(width: int = 64, height: int = 64) -> Image.Image:
    image = Image.linear_gradient("L").resize((width, height))
    return Image.merge("RGB", (image, image.transpose(Image.Transpose.ROTATE_90).resize((width, height)), image))


def half(width: int = 64, height: int = 64) -> Image.Image:
    mask = Image.new("L", (width, height), 0)
    mask.paste(255, (0, 0, width // 2, height))
    return mask


def bare(**work: Any) -> dict[str, Any]:
    return {"prompt": PROMPT, "num_inference_steps": 3, "seed": 5, "width": 64, "height": 64, **work}


@pytest.mark.parametrize("name", tiny_image.MODELS)
def test_the_image_is_the_library_s_own(studio: Studio, name: str) -> None:
    more = {"use_resolution_binning": False, "clean_caption": False} if name == "pixart" else {}
    expected = tiny_image.draw_bare(studio.folder(name), **bare(**more))
    made = studio.image(name)
    assert made.size == (64, 64)
    assert made.tobytes() == expected.tobytes()
    assert len(set(made.getdata())) > 100  # noise, and no black square


def test_every_parameter_reaches_the_pipeline(studio: Studio) -> None:
    expected = tiny_image.draw_bare(
        studio.folder("sdxl"),
        **bare(negative_prompt="blurry", guidance_scale=2.0, width=96, num_inference_steps=4, seed=9),
        scheduler="DPMSolverMultistepScheduler",
        options={"use_karras_sigmas": True},
    )
    made = studio.image(
        "sdxl",
        negative_prompt="blurry",
        guidance_scale=2.0,
        width=96,
        steps=4,
        seed=9,
        scheduler="dpm++_2m_karras",
    )
    assert made.size == (96, 64)
    assert made.tobytes() == expected.tobytes()
    assert studio.image("sdxl").tobytes() != made.tobytes()  # and nothing of it stays behind


def test_the_same_seed_gives_the_same_bytes_alone_and_among_others(studio: Studio) -> None:
    first, second = studio.images("sdxl", count=2)
    assert first != second
    assert studio.images("sdxl") == [first]
    assert studio.images("sdxl", seed=6) == [second]


@pytest.mark.parametrize("format", ["image/jpeg", "image/png", "image/webp"])
def test_formats(studio: Studio, format: str) -> None:
    made = studio.image("sdxl", format=format, steps=1)
    assert Image.MIME[str(made.format)] == format
    assert made.size == (64, 64)


def test_an_image_is_changed(studio: Studio) -> None:
    expected = tiny_image.draw_bare(
        studio.folder("sdxl"), "image", prompt=PROMPT, image=picture(), strength=0.7, num_inference_steps=4, seed=5
    )
    arguments = {"image": media(picture()), "strength": 0.7, "steps": 4, "width": None, "height": None}
    made = studio.image("sdxl", **arguments)
    assert made.tobytes() == expected.tobytes()
    assert studio.ticks[-1] == Progress(2, 2)  # of four steps, seven tenths are done


def test_a_part_of_an_image_is_changed_and_the_rest_is_kept(studio: Studio) -> None:
    arguments = {"strength": 1.0, "num_inference_steps": 3, "seed": 5, "width": 64, "height": 64}
    expected = tiny_image.draw_bare(
        studio.folder("sdxl"), "inpaint", prompt=PROMPT, image=picture(), mask_image=half(), **arguments
    )
    asked = {"image": media(picture()), "strength": 1.0}
    made = studio.image("sdxl", mask=media(half(), name="mask"), **asked)
    assert made.tobytes() == expected.tobytes()
    clear = picture().convert("RGBA")
    clear.putalpha(half().point(lambda value: 255 - value))
    assert studio.image("sdxl", mask=media(clear, name="mask"), is_mask_clear=True, **asked).tobytes() == made.tobytes()


def test_a_picture_of_any_size_and_kind_gives_one_that_the_model_can_make(studio: Studio) -> None:
    asked = {"width": None, "height": None, "steps": 2, "strength": 1.0}
    assert studio.image("sdxl", image=media(picture(75, 41), "JPEG"), **asked).size == (72, 40)
    assert studio.image("sdxl", image=media(picture(24, 900), "WEBP"), **asked).size == (24, 896)
    rgba = picture().convert("RGBA")
    assert studio.image("sdxl", image=media(rgba), **{**asked, "width": 80, "height": 64}).size == (80, 64)


def test_images_share_one_copy_of_the_weights(studio: Studio) -> None:
    pipelines = studio.engine("sdxl")._model._pipelines
    assert pipelines.kinds == {"text-to-image", "image-to-image", "inpainting"}
    assert len({id(pipelines.of(kind).unet) for kind in pipelines.kinds}) == 1
    assert studio.engine("pixart")._model._pipelines.kinds == {"text-to-image"}


def test_progress_is_told_for_each_step_of_all_images(studio: Studio) -> None:
    studio.images("sdxl", count=2)
    assert studio.ticks == [Progress(done, 6) for done in range(1, 7)]


@pytest.mark.parametrize("name", ["sdxl", "pixart"])
def test_who_leaves_is_not_drawn_for(studio: Studio, name: str) -> None:
    studio.engine(name)
    studio.leave_after = 2
    try:
        said = studio.ask(name, steps=50, count=3)
    finally:
        studio.leave_after = None
    assert [type(event) for event in said] == [Progress, Progress, Finish, Done]
    assert said[-1].usage.images == 0
    assert studio.image(name).size == (64, 64)  # the next one is none the worse


def test_a_lora_changes_the_image_as_diffusers_own_loader_does(studio: Studio, tmp_path: Path) -> None:
    lora = tiny_image.write_lora(studio.folder("sdxl"), tmp_path / "lora")
    expected = tiny_image.draw_bare(studio.folder("sdxl"), **bare(), lora=str(lora))
    made = studio.image("sdxl", lora=lora)
    # Fused into the weights it is rounded once more than beside them.
    assert max(abs(a - b) for a, b in zip(made.tobytes(), expected.tobytes(), strict=True)) <= 2
    difference = [abs(a - b) for a, b in zip(made.tobytes(), studio.image("sdxl").tobytes(), strict=True)]
    assert max(difference) > 5


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "no pytorch_lora_weights.safetensors"),
        ({"pytorch_lora_weights.bin": b"x"}, "Pickled adapters are never opened"),
        ({"a.safetensors": b"x", "b.safetensors": b"x"}, "2 files"),
        ({"pytorch_lora_weights.safetensors": b"broken"}, "does not fit this model"),
    ],
)
def test_an_adapter_that_is_none_is_told_to_the_operator(
    studio: Studio, tmp_path: Path, files: dict[str, bytes], reason: str
) -> None:
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=reason):
        studio.engine("sdxl", tmp_path)


def test_numbers_that_are_none_are_an_error(studio: Studio, tmp_path: Path) -> None:
    tiny_image.build("sdxl", studio.base / "tiny-spoilt")
    tiny_image.spoil(studio.base / "tiny-spoilt")
    [failed] = studio.ask("spoilt")
    assert isinstance(failed, Failed)
    assert failed.kind == "generation"
    assert "NaN" in failed.message


@pytest.mark.parametrize(
    ("name", "asked", "param"),
    [
        ("sdxl", {"width": 68}, "width"),
        ("sdxl", {"height": 8192}, "height"),
        ("sd3", {"width": 72}, "width"),
        ("sdxl", {"scheduler": "flow_match_euler"}, "scheduler"),
        ("sd3", {"scheduler": "ddim"}, "scheduler"),
        ("flux", {"negative_prompt": "blurry"}, "negative_prompt"),
        ("pixart", {"image": media(picture())}, "inputs"),
        ("sdxl", {"mask": media(half())}, "mask_image"),
        ("sdxl", {"image": media(picture()), "mask": media(Image.new("L", (64, 64)))}, "mask_image"),
        ("sdxl", {"image": media(picture()), "strength": 0.1}, "strength"),
        ("sdxl", {"image": Media(digest="x", size=4, data=b"\x89PNG", name="image")}, "image"),
    ],
)
def test_what_this_model_cannot_do_is_refused_by_name(
    studio: Studio, name: str, asked: dict[str, Any], param: str
) -> None:
    [failed] = studio.ask(name, **asked)
    assert isinstance(failed, Failed), failed
    assert failed.kind in ("invalid_input", "unsupported")
    assert failed.param == param
    assert failed.message


def test_the_prompt_is_counted_as_the_model_reads_it(studio: Studio) -> None:
    *_, done = studio.ask("sdxl", "a " * 500, steps=1)
    assert done.usage == msgspec.structs.replace(done.usage, prompt_tokens=77, images=1)


def test_a_folder_that_is_no_pipeline_is_told_to_the_operator(tmp_path: Path) -> None:
    from pronto.engines.pictures.pipelines import load_pipeline

    with pytest.raises(ValueError, match=r"model_index\.json"):
        load_pipeline(tmp_path, Device())


@pytest.fixture(scope="module")
def exported(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny SDXL with a LoRA fused in, exported by the real engine; some 10 seconds."""
    from pronto.engines.diffusers_export import export

    target = tmp_path_factory.mktemp("exported") / "sdxl"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lora = tiny_image.write_lora(studio.folder("sdxl"), target.with_name("lora"))
        stages: list[str] = []
        work = Export(folder=str(studio.folder("sdxl")), target=str(target), weights="fp16", adapter=str(lora))
        assert export(work, stages.append).endswith("parameters as fp16")
        assert stages == ["read", "export", "write"]
        assert export(work, stages.append) == "it was there already"
    return target


@pytest.fixture(scope="module")
def on_openvino(studio: Studio, exported: Path) -> Studio:
    """In f32, which can be compared; by itself the engine computes in what the processor is fastest with."""
    from pronto.engines.diffusers_image import openvino_engine

    made = openvino_engine()
    model = Model(
        id="a/b",
        task=Task.TEXT_TO_IMAGE,
        engine="diffusers-openvino",
        source=Source(folder="x"),
        revision="r",
        exported=str(exported),
        settings=EngineSettings(precision="exact"),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert made.load(model, Device(threads=1), studio._tick).dtype == "f32"
    studio._engines["openvino", None] = made
    return studio


def most_apart(one: Image.Image, other: Image.Image) -> int:
    return max(abs(a - b) for a, b in zip(one.tobytes(), other.tobytes(), strict=True))


@pytest.mark.timeout(300)  # the export beside other programs
def test_openvino_makes_the_same_images(on_openvino: Studio, exported: Path) -> None:
    lora = exported.with_name("lora")
    masked = {"image": media(picture()), "strength": 1.0, "mask": media(half(), name="mask")}
    asks: list[dict[str, Any]] = [{}, {"image": media(picture()), "strength": 0.7}, masked]
    for asked in asks:
        # Weights are rounded to fp16 once, so a value may be one or two of 255 apart.
        assert most_apart(on_openvino.image("openvino", **asked), on_openvino.image("sdxl", lora=lora, **asked)) <= 4
    first, second = on_openvino.images("openvino", count=2)
    assert on_openvino.images("openvino", seed=6) == [second]
    assert on_openvino.images("openvino") == [first]


def test_openvino_shares_its_networks_and_hears_who_leaves(on_openvino: Studio) -> None:
    pipelines = on_openvino.engine("openvino")._model._pipelines
    assert pipelines.kinds == {"text-to-image", "image-to-image", "inpainting"}
    assert len({id(pipelines.of(kind).unet.request) for kind in pipelines.kinds}) == 1
    on_openvino.leave_after = 2
    try:
        said = on_openvino.ask("openvino", steps=50)
    finally:
        on_openvino.leave_after = None
    assert [type(event) for event in said] == [Progress, Progress, Finish, Done]


def test_what_cannot_be_exported_is_told_to_the_operator(studio: Studio, tmp_path: Path) -> None:
    from pronto.engines.diffusers_export import export

    for name, weights, reason in (("pixart", "fp16", "diffusers"), ("sdxl", "int8", "fp16")):
        work = Export(folder=str(studio.folder(name)), target=str(tmp_path / name), weights=weights)
        with pytest.raises(ValueError, match=reason):
            export(work, lambda _: None)
        assert not (tmp_path / name).exists()
