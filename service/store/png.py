"""Read and replace the text inside a PNG without touching its pixels."""

import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Final

from scheduler.errors import BadPngError

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_TEXT: Final = (b"tEXt", b"zTXt", b"iTXt")
_OVERHEAD: Final = 12
"""Bytes of a chunk beside its data: length, type and checksum (PNG specification, 5.3)."""


def with_texts(png: bytes, texts: Mapping[str, str]) -> bytes:
    """Return the PNG with exactly these texts, keyword by keyword, right after its header.

    Texts that it held before are dropped; all other chunks stay as they are, byte for byte.

    Raises:
        BadPngError: it is no whole PNG.
    """
    first, *rest = [raw for kind, raw in _chunks(png) if kind not in _TEXT]
    added = [_text_chunk(keyword, text) for keyword, text in texts.items()]
    return b"".join((_SIGNATURE, first, *added, *rest))


def texts_of(png: bytes) -> dict[str, str]:
    """Return the uncompressed texts of a PNG by keyword.

    Raises:
        BadPngError: it is no whole PNG.
    """
    found = {}
    for kind, raw in _chunks(png):
        keyword, _, text = raw[8:-4].partition(b"\0")
        if kind == b"tEXt":
            found[keyword.decode("latin-1")] = text.decode("latin-1")
        elif kind == b"iTXt" and text[:1] == b"\0":
            found[keyword.decode("latin-1")] = text[2:].split(b"\0", 2)[2].decode()
    return found


def size_of(png: bytes) -> tuple[int, int]:
    """Return width and height in pixels.

    Raises:
        BadPngError: it is no whole PNG.
    """
    _, header = next(_chunks(png))
    width, height = struct.unpack(">II", header[8:16])
    return width, height


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield type and raw bytes of every chunk, from the header to the end mark."""
    if not png.startswith(_SIGNATURE):
        raise BadPngError
    at, kind = len(_SIGNATURE), b""
    while kind != b"IEND":
        if len(png) < at + _OVERHEAD:
            raise BadPngError("the PNG ends in its middle")
        length, kind = struct.unpack_from(">I4s", png, at)
        if at == len(_SIGNATURE) and (kind, length) != (b"IHDR", 13):
            raise BadPngError("the PNG has no header")
        raw = png[at : at + length + _OVERHEAD]
        if len(raw) < length + _OVERHEAD:
            raise BadPngError("the PNG ends in its middle")
        at += len(raw)
        yield kind, raw


def _text_chunk(keyword: str, text: str) -> bytes:
    """Encode one text: `tEXt` where ASCII is enough, which all tools read; else `iTXt`.

    Formats: PNG specification, 11.3.4.3 and 11.3.4.5. A text cannot hold a zero byte.
    """
    clean = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    if clean.isascii():
        return _chunk(b"tEXt", keyword.encode() + b"\0" + clean.encode())
    return _chunk(b"iTXt", keyword.encode() + b"\0\0\0\0\0" + clean.encode())


def _chunk(kind: bytes, data: bytes) -> bytes:
    """Frame a chunk."""
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))
