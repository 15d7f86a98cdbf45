"""The last look at what an engine returned, before anybody calls it a picture."""

import io

from PIL import Image

from engines.errors import BadPictureError

_FORMATS = ("PNG", "JPEG", "WEBP")
_END = b"IEND\xaeB`\x82"
"""The last chunk of every PNG and its checksum, whose absence decoders forgive."""


def verify(data: bytes, *, width: int, height: int) -> bytes:
    """Return the picture as PNG; a PNG comes back byte for byte, with its text chunks.

    Decodes the whole picture, some 10 ms per megapixel: call it in a thread.

    Raises:
        BadPictureError: it is cut short or no picture, has another size than asked for, or is
            one flat colour, which is what a network full of NaN decodes to.
    """
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            if picture.size != (width, height):
                asked = f"{width}x{height}"
                raise BadPictureError(f"{picture.width}x{picture.height} came, not {asked}")
            if picture.format == "PNG" and _END not in data[-1024:]:
                raise BadPictureError("the picture ends too early")
            colours = picture.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadPictureError(f"{len(data)} bytes that are no whole picture: {error}") from error
    if all(low == high for low, high in _extrema(colours)):
        raise BadPictureError("the picture is one flat colour")
    return data if picture.format == "PNG" else _as_png(colours)


def _extrema(picture: Image.Image) -> list[tuple[float, float]]:
    return [band.getextrema() for band in picture.split()]  # type: ignore[misc]


def _as_png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()
