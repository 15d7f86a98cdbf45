"""The pictures that a spec brings along, on their way to the server."""

import asyncio
import io
from dataclasses import replace
from typing import Final

from PIL import Image, ImageOps

from engines.inputs import Inputs
from engines.invokeai.client import Client
from engines.invokeai.parts import Parts
from engines.spec import GenerationSpec, InputRef

_NOWHERE: Final = ""


async def filled(
    spec: GenerationSpec,
    parts: Parts,
    *,
    client: Client | None = None,
    inputs: Inputs | None = None,
) -> Parts:
    """Return the parts with the names of the spec's pictures, which are uploaded.

    Without a client nothing is: work that was found again has its pictures already.

    Raises:
        InvalidSpecError: a picture is gone, or the server refuses it.
    """

    async def upload(ref: InputRef, category: str) -> str:
        if client is None or inputs is None:
            return _NOWHERE
        data = await asyncio.to_thread(inputs.read, ref)
        if category == "mask":
            data = await asyncio.to_thread(_inverted, data)
        return await client.upload(data, media_type=_media_type(data), category=category)

    refs = {control.image for control in spec.controls}
    mask = None
    if spec.init_image is not None:
        refs.add(spec.init_image)
        mask = spec.mask
    return replace(
        parts,
        images={ref: await upload(ref, "user") for ref in sorted(refs)},
        mask=await upload(mask, "mask") if mask is not None else None,
    )


def _inverted(mask: bytes) -> bytes:
    """Return a mask as InvokeAI has it: black where the picture may change."""
    out = io.BytesIO()
    with Image.open(io.BytesIO(mask)) as picture:
        ImageOps.invert(picture.convert("L")).save(out, "PNG")
    return out.getvalue()


def _media_type(data: bytes) -> str:
    with Image.open(io.BytesIO(data)) as picture:
        return Image.MIME[str(picture.format)]
