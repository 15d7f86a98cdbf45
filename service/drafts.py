"""Turns request bodies into drafts: input pictures are decoded and kept, unknown fields named."""

import asyncio
import base64
import binascii
from collections.abc import Iterator

from pydantic import BaseModel

from engines.base import Shortfall
from engines.inputs import Inputs
from engines.spec import Control, Draft, Hires, InputRef, Lora, Refiner, Tiling, Upscale
from scheduler.errors import BadKeyError, NotStoredError
from service.bodies import GenerateBody, HiresBody, RefinerBody, UpscaleBody
from service.problems import RequestError
from service.store.base import ObjectStore
from service.store.keys import Keys


class Drafts:
    """Reads what a request brings along."""

    def __init__(self, *, inputs: Inputs, objects: ObjectStore, keys: Keys) -> None:
        self._inputs = inputs
        self._objects = objects
        self._keys = keys

    async def read(self, body: GenerateBody) -> Draft:
        """Return the draft of a body.

        Raises:
            RequestError: an input picture is neither base64 nor one of ours.
            InvalidSpecError: an input picture cannot be read.
            StoreError: one of our pictures cannot be fetched.
        """
        return Draft(
            prompt=body.prompt,
            engine=body.engine,
            profile=body.profile,
            model=body.model,
            width=body.width,
            height=body.height,
            steps=body.steps,
            cfg=body.cfg,
            seed=body.seed,
            sampler=body.sampler,
            negative_prompt=body.negative_prompt,
            loras=tuple(Lora(lora.name, lora.weight) for lora in body.loras),
            controls=await self._controls(body) if body.controls else (),
            init_image=await self._input(body.init_image, "init_image"),
            mask=await self._input(body.mask, "mask"),
            strength=body.strength,
            hires=_hires(body.hires),
            upscale=_upscale(body.upscale),
            refiner=_refiner(body.refiner),
            tiling=Tiling(body.axes),
            clip_skip=body.clip_skip,
            reproducible=body.reproducible,
        )

    async def _controls(self, body: GenerateBody) -> tuple[Control, ...]:
        controls = []
        for place, control in enumerate(body.controls):
            ref = await self._input(control.image, f"controls.{place}.image")
            if ref is None:
                raise RequestError("a picture is needed", code="invalid_request", status=422,
                                   field=f"controls.{place}.image")  # fmt: skip
            controls.append(Control(control.model, ref, control.weight, control.start, control.end))
        return tuple(controls)

    async def _input(self, text: str | None, field: str) -> InputRef | None:
        """Keep a picture that came as base64, as a data URI, or as the key of one of ours."""
        if not text:
            return None
        data = await self._stored(text, field) or _decode(text, field)
        return await asyncio.to_thread(self._inputs.keep, data, field=field)

    async def _stored(self, text: str, field: str) -> bytes | None:
        """Return the bytes of one of our pictures; None if the text does not look like a key.

        The prefix may be empty; base64 has no dot, and every key has one.
        """
        if not text.startswith(self._keys.prefix) or "." not in text:
            return None
        try:
            return await self._objects.get(self._keys.check_png(text))
        except (BadKeyError, NotStoredError) as error:
            raise RequestError(str(error), code=error.code, status=422, field=field) from None


def _decode(text: str, field: str) -> bytes:
    """Decode base64, with or without a data URI around it; URLs are never fetched."""
    try:
        return base64.b64decode(text.split(",", 1)[-1], validate=True)
    except (binascii.Error, ValueError):
        raise RequestError(
            "expected base64, a data URI, or the key of a stored picture",
            code="invalid_request",
            status=422,
            field=field,
        ) from None


def _hires(body: HiresBody | None) -> Hires | None:
    return Hires(body.scale, body.strength, body.steps, body.upscaler) if body else None


def _upscale(body: UpscaleBody | None) -> Upscale | None:
    return Upscale(body.scale, body.upscaler) if body else None


def _refiner(body: RefinerBody | str | None) -> Refiner | None:
    if isinstance(body, str):
        return Refiner(body)
    return Refiner(body.model, body.start) if body else None


def unknown_fields(body: BaseModel, path: str = "") -> Iterator[Shortfall]:
    """Yield a warning for every field that we do not know, also in nested bodies."""
    for name in body.model_extra or ():
        yield Shortfall("unknown_field", "this field is not known and was ignored", path + name)
    for name in sorted(body.model_fields_set):
        value = getattr(body, name)
        if isinstance(value, BaseModel):
            yield from unknown_fields(value, f"{path}{name}.")
        elif isinstance(value, tuple):
            for place, item in enumerate(value):
                if isinstance(item, BaseModel):
                    yield from unknown_fields(item, f"{path}{name}.{place}.")
