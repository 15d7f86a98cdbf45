"""Specs, records and parts that the tests of InvokeAI's pure half share."""

from engines.invokeai.parts import Parts
from engines.invokeai.records import Record
from engines.spec import GenerationSpec, InputRef

IMAGE, MASK = InputRef("a" * 64), InputRef("b" * 64)

SPEC = GenerationSpec(
    prompt="a lighthouse",
    negative_prompt="blurry",
    model="dream",
    width=512,
    height=768,
    steps=20,
    cfg=7.0,
    seed=1234,
    sampler="dpmpp_2m_karras",
)


def made(name: str, kind: str = "main", base: str = "sd-1", **more: object) -> Record:
    """Return a record whose key says what it is."""
    return Record(f"{kind}:{base}:{name}", f"blake3:{name}", name, base, kind, **more)  # type: ignore[arg-type]


SD15, SDXL = made("dream"), made("big", base="sdxl")
REFINER = made("fine", base="sdxl-refiner")
LORA, LORA_XL = made("ink", "lora"), made("ink", "lora", "sdxl")
CANNY = made("canny", "controlnet")
ESRGAN = made("esrgan", "spandrel_image_to_image", "any")
RECORDS = (SD15, SDXL, REFINER, LORA, LORA_XL, CANNY, ESRGAN, made("kl", "vae"))


def parts(**more: object) -> Parts:
    """Return the parts of the plainest picture, with some replaced."""
    given: dict[str, object] = {
        "model": SD15,
        "scheduler": "dpmpp_2m_k",
        "positive": "a lighthouse",
        "negative": "blurry",
        "images": {IMAGE: "up-1.png", MASK: "up-2.png"},
        **more,
    }
    return Parts(**given)  # type: ignore[arg-type]
