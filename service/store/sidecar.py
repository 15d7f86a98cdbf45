"""What is written beside and inside a picture, so that it can be found and drawn again."""

import hashlib
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

import orjson
from pydantic import JsonValue, TypeAdapter, ValidationError

from engines.base import Picture, Shortfall
from engines.spec import GenerationSpec
from scheduler.job import Artifact, Job
from service.store.keys import Keys, png_of
from service.store.png import with_texts

SOFTWARE: Final = "KITTY Images"

_SAMPLERS: Final = {
    "euler": "Euler",
    "euler_a": "Euler a",
    "ddim": "DDIM",
    "dpmpp_2m": "DPM++ 2M",
    "dpmpp_2m_karras": "DPM++ 2M Karras",
    "dpmpp_sde": "DPM++ SDE",
    "unipc": "UniPC",
    "lcm": "LCM",
    "heun": "Heun",
}
"""Our sampler names in the words that Automatic1111 writes into its pictures."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    """All that is known of a stored picture; holds no time but that of the request.

    So the same job and picture always give the same bytes, and a repeat overwrites itself.

    Attributes:
        created: When the job was accepted.
        spec: What was drawn, every default settled, with this picture's own seed.
        facts: What the engine says is needed to draw it again.
        sha256: Of the stored PNG, hex; empty inside the PNG itself, as are key and size.
    """

    job_id: str
    index: int
    created: datetime
    engine: str
    spec: GenerationSpec
    seed: int
    width: int
    height: int
    facts: dict[str, JsonValue] = field(default_factory=dict)
    warnings: tuple[Shortfall, ...] = ()
    tags: tuple[str, ...] = ()
    key: str = ""
    meta_key: str = ""
    size_bytes: int = 0
    sha256: str = ""
    software: str = SOFTWARE
    version: int = 1

    @property
    def artifact(self) -> Artifact:
        """The stored picture as the scheduler knows it."""
        return Artifact(
            key=self.key,
            meta_key=self.meta_key,
            index=self.index,
            seed=self.seed,
            width=self.width,
            height=self.height,
            size_bytes=self.size_bytes,
            sha256=self.sha256,
            shortfalls=self.warnings,
        )

    def encode(self) -> bytes:
        """Return it as JSON, indented for people."""
        return orjson.dumps(SIDECAR_JSON.dump_python(self, mode="json"), option=orjson.OPT_INDENT_2)


SIDECAR_JSON: TypeAdapter[Sidecar] = TypeAdapter(Sidecar)
"""Reads and writes a sidecar as JSON."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A picture ready for the store: the PNG with its text inside, and the sidecar."""

    png: bytes
    sidecar: Sidecar


def decode(data: bytes, meta_key: str) -> Sidecar | None:
    """Read the sidecar that lies under a key; None if it is damaged or not ours.

    One that names another key than its own (a copy, or a trap) is not ours.
    """
    try:
        sidecar = SIDECAR_JSON.validate_json(data)
    except ValidationError:
        return None
    return sidecar if (sidecar.key, sidecar.meta_key) == (png_of(meta_key), meta_key) else None


def pack(job: Job, index: int, picture: Picture, keys: Keys) -> Parcel:
    """Describe a picture, and write the description into its PNG.

    Raises:
        BadPngError: the picture is no whole PNG.
    """
    inner = Sidecar(
        job_id=job.id,
        index=index,
        created=job.created_at,
        engine=job.engine,
        spec=replace(job.spec, seed=picture.seed),
        seed=picture.seed,
        width=picture.width,
        height=picture.height,
        facts=orjson.loads(orjson.dumps(dict(picture.facts))),
        warnings=tuple(dict.fromkeys((*job.shortfalls, *picture.shortfalls))),
        tags=job.tags,
    )
    embedded = SIDECAR_JSON.dump_python(
        inner, mode="json", exclude={"key", "meta_key", "size_bytes", "sha256"}
    )
    texts = {"parameters": parameters(inner), "kitty": orjson.dumps(embedded).decode()}
    png = with_texts(picture.png, texts)
    outer = replace(
        inner,
        key=keys.png(job, index),
        meta_key=keys.meta(job, index),
        size_bytes=len(png),
        sha256=hashlib.sha256(png).hexdigest(),
    )
    return Parcel(png, outer)


def parameters(sidecar: Sidecar) -> str:
    """Return the text that Automatic1111 would have written, so that other tools read it.

    Form: prompt; `Negative prompt: …`; then one line of `Name: value` pairs, values that hold
    commas, colons or line ends quoted as JSON (`infotext_utils.quote` of the web UI).
    """
    spec = sidecar.spec
    loras = "".join(f" <lora:{lora.name}:{lora.weight:g}>" for lora in spec.loras)
    lines = [spec.prompt + loras]
    if spec.negative_prompt:
        lines.append(f"Negative prompt: {spec.negative_prompt}")
    pairs = _pairs(sidecar)
    lines.append(", ".join(f"{name}: {_quoted(value)}" for name, value in pairs.items()))
    return "\n".join(lines)


def _pairs(sidecar: Sidecar) -> dict[str, str]:
    """Return the settings under Automatic1111's names, in its order."""
    spec = sidecar.spec
    pairs = {
        "Steps": str(spec.steps),
        "Sampler": _SAMPLERS.get(spec.sampler, spec.sampler),
        "CFG scale": f"{spec.cfg:g}",
        "Seed": str(sidecar.seed),
        "Size": f"{spec.width}x{spec.height}",
    }
    # The step engine counts a digest of its own, the others tell what their server says.
    model_hash = sidecar.facts.get("model_sha256") or sidecar.facts.get("model_hash")
    if isinstance(model_hash, str) and model_hash:
        pairs["Model hash"] = model_hash[:10]
    pairs["Model"] = spec.model
    if spec.init_image is not None:
        pairs["Denoising strength"] = f"{spec.strength:g}"
    elif spec.hires is not None:
        pairs["Denoising strength"] = f"{spec.hires.strength:g}"
    if spec.clip_skip:
        pairs["Clip skip"] = str(spec.clip_skip)
    if spec.hires is not None:
        pairs["Hires upscale"] = f"{spec.hires.scale:g}"
        pairs["Hires steps"] = str(spec.hires.steps or spec.steps)
        pairs["Hires upscaler"] = spec.hires.upscaler.capitalize()
    if spec.refiner is not None:
        pairs["Refiner"] = spec.refiner.model
        pairs["Refiner switch at"] = f"{spec.refiner.start:g}"
    pairs["Version"] = SOFTWARE
    return pairs


def _quoted(value: str) -> str:
    """Quote a value that would break the line of pairs."""
    return orjson.dumps(value).decode() if any(mark in value for mark in ",:\n") else value
