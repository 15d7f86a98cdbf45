"""Pictures that requests bring along, kept by content until their job has been drawn."""

import hashlib
import io
import os
import secrets
from collections.abc import Collection
from pathlib import Path

from PIL import Image

from engines.errors import InvalidSpecError
from engines.spec import InputRef

MAX_BYTES = 32 * 2**20
MAX_PIXELS = 64 * 10**6
_FORMATS = ("PNG", "JPEG", "WEBP")


class Inputs:
    """A folder of input pictures, named by the SHA-256 of their bytes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, data: bytes, *, field: str) -> InputRef:
        """Check a picture, write it to the folder and return its name.

        Raises:
            InvalidSpecError: no PNG, JPEG or WebP, or too large; `field` is blamed.
        """
        if len(data) > MAX_BYTES:
            raise InvalidSpecError(f"larger than {MAX_BYTES} bytes", field=field)
        try:
            with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    raise InvalidSpecError(f"more than {MAX_PIXELS} pixels", field=field)
                picture.load()
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise InvalidSpecError("not a readable PNG, JPEG or WebP", field=field) from error
        ref = InputRef(hashlib.sha256(data).hexdigest())
        path = self._folder / ref
        if path.exists():
            path.touch()
        else:
            self._folder.mkdir(parents=True, exist_ok=True)
            # A name of its own: the same picture may be coming twice at once.
            partial = path.with_suffix(f".{secrets.token_hex(8)}")
            with partial.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        return ref

    def read(self, ref: InputRef) -> bytes:
        """Return the bytes of an input picture.

        Raises:
            InvalidSpecError: the picture is no longer there.
        """
        try:
            return (self._folder / ref).read_bytes()
        except OSError as error:
            raise InvalidSpecError(f"the input picture {ref[:12]}… is gone") from error

    def forget(self, *, before: float, but: Collection[InputRef]) -> int:
        """Delete the pictures that nobody brought since `before` (seconds, as file times are).

        Those in `but` stay. Returns how many went.
        """
        old = [
            path
            for path in (self._folder.iterdir() if self._folder.exists() else ())
            if path.stem not in but and path.stat().st_mtime < before
        ]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)
