"""Remembers the list that was shown last, so that its numbers still mean what was seen."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import orjson

LIFE_SECONDS = 3600
"""How long the numbers of a list hold; older lists are forgotten."""


def _place() -> Path:
    """Return the file, by the XDG base directory rules."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "kitty-images" / "listing.json"


def remember(base: str, keys: Sequence[str]) -> None:
    """Keep the keys of a list of the service at `base`; a cache that fails is none."""
    place = _place()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(orjson.dumps({"base": base, "at": time.time(), "keys": keys}))
    except OSError:
        return


def recall(base: str) -> list[str] | None:
    """Return the keys of the last list of the service at `base`, if it is recent."""
    try:
        kept = orjson.loads(_place().read_bytes())
        if kept["base"] == base and 0 <= time.time() - kept["at"] < LIFE_SECONDS:
            return [str(key) for key in kept["keys"]]
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return None
