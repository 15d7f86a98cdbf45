"""The pictures that a fake InvokeAI shows: previews, and finished ones with something wrong."""

import base64
import io
from typing import Any

from PIL import Image

from engines.card import test_card
from tests.fakes.stage import Flaw


def preview() -> dict[str, Any]:
    """Return a progress image: a JPEG of latent size under its display size."""
    out = io.BytesIO()
    Image.effect_noise((8, 8), 50).convert("RGB").save(out, "JPEG")
    data = base64.b64encode(out.getvalue()).decode()
    return {"width": 64, "height": 64, "dataURL": f"data:image/jpeg;base64,{data}"}


def spoiled(png: bytes, flaw: Flaw | None) -> bytes:
    """Return a picture with a flaw."""
    match flaw:
        case None:
            return png
        case Flaw.HALF:
            return png[: len(png) // 2]
        case Flaw.SIZE:
            return test_card(width=72, height=40, seed=1)
        case Flaw.FOREIGN:
            return b"<html>Not Found</html>"
        case Flaw.FLAT:
            out = io.BytesIO()
            with Image.open(io.BytesIO(png)) as picture:
                Image.new("RGB", picture.size).save(out, "PNG")
            return out.getvalue()
