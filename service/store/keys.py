"""Under which keys pictures are stored, and which keys a client may name."""

import re

from scheduler.errors import BadKeyError
from scheduler.job import Job

PNG, META, THUMB = ".png", ".json", ".thumb.webp"

_PART = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")
_LONGEST = 1000
_STEM = r"[0-9]{8}_[0-9]{6}_[0-9a-f]{8}"


def plain(key: str) -> str:
    """Return the key if every store can hold it under exactly that name.

    Plain keys are parts of ASCII letters, digits, `.`, `_` and `-` with `/` between them; no part
    is empty or begins with a dot, so none leads out of a folder.

    Raises:
        BadKeyError: it is anything else.
    """
    if len(key) > _LONGEST or not all(_PART.fullmatch(part) for part in key.split("/")):
        raise BadKeyError
    return key


class Keys:
    """The names of pictures, sidecars and thumbnails under one prefix.

    Args:
        prefix: Where our objects live in the bucket, `images/` by default; a missing slash at
            its end is added, and an empty prefix is allowed.

    Raises:
        ValueError: no object could be stored under the prefix.
    """

    def __init__(self, prefix: str = "images/") -> None:
        bare = prefix.removesuffix("/")
        try:
            self.prefix = f"{plain(bare)}/" if bare else ""
        except BadKeyError as error:
            raise ValueError(
                f"{prefix!r} is no prefix for keys: use a-z, 0-9, _, - and /"
            ) from error
        ours = re.escape(self.prefix) + _STEM
        self._ours = re.compile(rf"{ours}(?:{'|'.join(map(re.escape, (PNG, META, THUMB)))})")

    def png(self, job: Job, index: int) -> str:
        """Return the key of a picture."""
        return f"{self.prefix}{job.stem(index)}{PNG}"

    def meta(self, job: Job, index: int) -> str:
        """Return the key of a picture's sidecar."""
        return f"{self.prefix}{job.stem(index)}{META}"

    def thumb(self, job: Job, index: int) -> str:
        """Return the key of a picture's thumbnail."""
        return f"{self.prefix}{job.stem(index)}{THUMB}"

    def check(self, key: str) -> str:
        """Return a key that a client named, if it is one that we could have given out.

        Raises:
            BadKeyError: it is not of our form, or not under our prefix.
        """
        if self._ours.fullmatch(key) is None:
            raise BadKeyError
        return key

    def check_png(self, key: str) -> str:
        """Return a key that a client named, if it is the key of a picture.

        Raises:
            BadKeyError: it is not of our form, not under our prefix, or of another kind.
        """
        if not self.check(key).endswith(PNG):
            raise BadKeyError
        return key


def meta_of(png_key: str) -> str:
    """Return the key of the sidecar of a picture."""
    return png_key.removesuffix(PNG) + META


def thumb_of(png_key: str) -> str:
    """Return the key of the thumbnail of a picture."""
    return png_key.removesuffix(PNG) + THUMB


def png_of(meta_key: str) -> str:
    """Return the key of the picture of a sidecar."""
    return meta_key.removesuffix(META) + PNG
