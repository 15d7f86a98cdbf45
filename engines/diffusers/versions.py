"""Which packages decide about the pixels, and in which version they are here."""

import importlib.metadata
from collections.abc import Mapping
from functools import cache

_PACKAGES = ("diffusers", "torch", "transformers")


@cache
def versions() -> Mapping[str, str]:
    """Return name and version of each."""
    return {name: importlib.metadata.version(name) for name in _PACKAGES}
