"""Test cards: valid PNG pictures of any size that cost next to nothing to make."""

import struct
import zlib
from functools import lru_cache

_BARS = 8


def chunk(kind: bytes, data: bytes) -> bytes:
    """Encode one PNG chunk (PNG specification, third edition, section 5.3)."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@lru_cache(maxsize=16)
def _bars(width: int, height: int) -> tuple[bytes, bytes]:
    """Return header and pixel chunks of eight upright bars (palette picture, one byte a pixel)."""
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    row = b"\0" + bytes(x * _BARS // width for x in range(width))
    return chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(row * height, 1))


def test_card(*, width: int, height: int, seed: int) -> bytes:
    """Return a PNG of `width` by `height` pixels whose colours follow from the seed."""
    header, pixels = _bars(width, height)
    palette = b"".join(
        struct.pack(">I", (seed * 2654435761 + bar * 0x9E3779B1) & 0xFFFFFFFF)[:3]
        for bar in range(_BARS)
    )
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"PLTE", palette) + pixels + chunk(b"IEND", b"")
