"""Previews as every client can show them: small JPEGs."""

import io

from PIL import Image

_MOST_PIXELS_A_SIDE = 512
_JPEG_START = b"\xff\xd8"


def as_jpeg(image: bytes) -> bytes | None:
    """Return a small JPEG, the image itself when it is a JPEG; None when it is no picture.

    What is not a JPEG may be a whole picture: call it in a thread.
    """
    if image.startswith(_JPEG_START):
        return image
    out = io.BytesIO()
    try:
        with Image.open(io.BytesIO(image), formats=("PNG", "WEBP")) as picture:
            picture.thumbnail((_MOST_PIXELS_A_SIDE, _MOST_PIXELS_A_SIDE))
            picture.convert("RGB").save(out, "JPEG", quality=80)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return out.getvalue()
