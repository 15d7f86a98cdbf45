"""Encodes finished pixels, beside the event loop and without torch."""

import io
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def encode_png(pixels: "NDArray[np.uint8]") -> bytes:
    """Return the picture as PNG; the same pixels give the same bytes.

    The lightest compression: a tenth more bytes than the usual one for a quarter of the time.
    """
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
