"""Names under which models are asked for, beside their own."""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

UPSCALER_MISSING = "upscaler_missing"
"""Code of the warning that Lanczos' filter stood in for a model."""

_FAMILY_NAMES: Mapping[str, tuple[str, re.Pattern[str]]] = MappingProxyType(
    {
        "sdxl_base": ("sdxl", re.compile(r"^(sd_?xl|stable_diffusion_xl)_base")),
        "sdxl_refiner": ("sdxl-refiner", re.compile(r"^(sd_?xl|stable_diffusion_xl)_refiner")),
        "sd15_base": ("sd15", re.compile(r"^(v1_5|sd_?v?1_?5|stable_diffusion_v1_5)")),
    }
)
"""KITTY's clients know these three names; each means the plain model of its family."""


def family_aliases(candidates: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Say which model each of KITTY's names means: alias → name.

    The model whose name says that it is the family's plain one is preferred, else the first of
    the family by name, so that a client with a fixed list finds something to draw with.

    Args:
        candidates: Name and base of every usable checkpoint.
    """
    found: dict[str, str] = {}
    taken = {name for name, _ in candidates}
    for alias, (base, plain) in _FAMILY_NAMES.items():
        names = sorted(name for name, its_base in candidates if its_base == base)
        if alias not in taken and names:
            by_name = [name for name in names if plain.match(_normal(name))]
            found[alias] = (by_name or names)[0]
    return found


def _normal(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.rpartition("/")[2].lower())
