"""Which files go with which models, told by the families that both were made for."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

ANY: Final = "any"
"""What servers call the family of a file that goes with every model."""

_LATENTS: Final[Mapping[str, str]] = MappingProxyType(
    {"sd15": "sd", "sd2": "sd", "sdxl": "sdxl", "sdxl-refiner": "sdxl", "mini": "mini"}
)
"""Family → its latents. Stable Diffusion 1 and 2 share an autoencoder, as SDXL and its refiner do
(the `scaling_factor` of the published `vae/config.json`: 0.18215 and 0.13025)."""


def share_network(one: str, other: str) -> bool:
    """Say whether what was trained on a network of one family may fit one of the other.

    So do LoRAs and ControlNets only within a family: the widths of its layers are theirs.
    """
    return one == other or not one or not other or ANY in {one, other}


def share_latents(one: str, other: str) -> bool:
    """Say whether one family may go on with the latents of the other, as refiners and VAEs do.

    Families of which nothing is known are taken to.
    """
    first, second = _LATENTS.get(one), _LATENTS.get(other)
    return first is None or second is None or first == second
