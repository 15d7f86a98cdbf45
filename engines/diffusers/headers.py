"""Reads what a safetensors file says of itself, without reading its tensors.

Layout: eight bytes little-endian length, that many bytes of JSON, then the tensors
(https://huggingface.co/docs/safetensors).
"""

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LENGTH = struct.Struct("<Q")
_MAX_HEADER = 100 * 2**20
_WORDS = 240


class BrokenFileError(Exception):
    """The file cannot be used; the message says why."""


def in_short(error: Exception) -> str:
    """Return a library's words in one line, for people; some list every tensor that is wrong."""
    words = " ".join(str(error).split()) or type(error).__name__
    return words if len(words) <= _WORDS else f"{words[:_WORDS].rstrip()} …"


@dataclass(frozen=True, slots=True)
class Header:
    """The names and shapes of a file's tensors, and its metadata."""

    shapes: Mapping[str, tuple[int, ...]]
    metadata: Mapping[str, str]

    def has(self, *parts: str) -> bool:
        """Say whether some tensor's name contains all of `parts`."""
        return any(all(part in name for part in parts) for name in self.shapes)

    def shape_of(self, *parts: str) -> tuple[int, ...] | None:
        """Return the shape of the first tensor whose name contains all of `parts`."""
        for name, shape in self.shapes.items():
            if all(part in name for part in parts):
                return shape
        return None

    @property
    def parameters(self) -> int:
        """Number of weights in all tensors."""
        return sum(math.prod(shape) for shape in self.shapes.values())


def read_header(path: Path) -> Header:
    """Read the header of a safetensors file and check that the tensors are all there.

    Raises:
        BrokenFileError: it is no safetensors file, or it is cut off.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            prefix = file.read(_LENGTH.size)
            if len(prefix) < _LENGTH.size:
                raise BrokenFileError("too short for a safetensors file")
            (length,) = _LENGTH.unpack(prefix)
            if length > min(_MAX_HEADER, size - _LENGTH.size):
                raise BrokenFileError("not a safetensors file, or cut off in its header")
            entries = json.loads(file.read(length))
    except OSError as error:
        raise BrokenFileError(f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise BrokenFileError("not a safetensors file: its header is no JSON") from error
    return _parse(entries, tensors_bytes=size - _LENGTH.size - length)


def _parse(entries: Any, *, tensors_bytes: int) -> Header:  # noqa: ANN401
    try:
        metadata = {str(k): str(v) for k, v in entries.pop("__metadata__", {}).items()}
        shapes = {name: tuple(int(n) for n in entry["shape"]) for name, entry in entries.items()}
        end = max((int(entry["data_offsets"][1]) for entry in entries.values()), default=0)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise BrokenFileError("not a safetensors file: its header is malformed") from error
    if end > tensors_bytes:
        raise BrokenFileError(f"cut off: {end - tensors_bytes} bytes of its tensors are missing")
    if not shapes:
        raise BrokenFileError("holds no tensors")
    return Header(shapes=shapes, metadata=metadata)
