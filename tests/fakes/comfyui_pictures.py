"""What a fake ComfyUI draws, with the flaws that a test asks for."""

import io
import json
import struct

from PIL import Image

from engines.card import test_card
from tests.fakes.stage import Flaw


def drawn(width: int, height: int, seed: int, flaw: Flaw | None) -> bytes:
    """Return a picture as PNG."""
    if flaw is Flaw.SIZE:
        width += 8
    if flaw is Flaw.FLAT:
        return _encoded(Image.new("RGB", (width, height)), "PNG")
    data = test_card(width=width, height=height, seed=seed)
    return data[: len(data) // 2] if flaw is Flaw.HALF else data


def preview(prompt_id: str, node: str, kind: str) -> bytes:
    """Return a frame of event 4, which the server sends as event 1 to who knows no better."""
    about = {"node_id": node, "prompt_id": prompt_id, "image_type": f"image/{kind.lower()}"}
    text = json.dumps(about).encode()
    return struct.pack(">II", 4, len(text)) + text + _encoded(Image.new("RGB", (8, 8)), kind)


def _encoded(picture: Image.Image, kind: str) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind)
    return out.getvalue()
