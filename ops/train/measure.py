"""Colours measured without a judge: the mean of the middle and of the corners, against renders."""

from typing import Final

import torch
from torch import Tensor

from ops.train.pool import LABELS
from ops.train.words import NOUNS

SOLID: Final = (
    "ball",
    "cube",
    "cylinder",
    "capsule",
    "heart",
    "bottle",
    "vase",
    "egg",
    "apple",
    "star",
)
"""Objects whose own colour fills the middle of the picture."""

_TO_XYZ: Final = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
_WHITE: Final = (0.9505, 1.0, 1.089)


def linear(rgb: Tensor) -> Tensor:
    """Turn sRGB in [-1, 1] into linear light in [0, 1] (IEC 61966-2-1)."""
    unit = ((rgb + 1) / 2).clamp(0, 1)
    return torch.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)  # noqa: PLR2004


def lab(rgb: Tensor) -> Tensor:
    """Turn sRGB in [-1, 1], [n, 3], into CIE L*a*b* under D65 (CIE 15)."""
    xyz = (
        linear(rgb)
        @ torch.tensor(_TO_XYZ, device=rgb.device).T
        / torch.tensor(_WHITE, device=rgb.device)
    )
    f = torch.where(xyz > 0.008856, xyz.clamp(min=1e-6) ** (1 / 3), 7.787 * xyz + 16 / 116)  # noqa: PLR2004
    return torch.stack(
        [116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], 1
    )


def middle(pictures: Tensor) -> Tensor:
    """Return the mean colour of a box in the middle of each picture, in L*a*b*."""
    height, width = pictures.shape[-2:]
    box = pictures[
        ..., int(0.46 * height) : int(0.60 * height), int(0.44 * width) : int(0.56 * width)
    ]
    return lab(box.mean((2, 3)))


def corners(pictures: Tensor) -> Tensor:
    """Return the mean colour of the two upper corners of each picture, in L*a*b*."""
    side = pictures.shape[-1] // 10
    top = pictures[..., :side, :]
    return lab((top[..., :side].mean((2, 3)) + top[..., -side:].mean((2, 3))) / 2)


def measurable(facts: Tensor) -> Tensor:
    """Return which pictures show one solid, plainly coloured object in the middle ([n, 8])."""
    column = {name: facts[:, i] for i, name in enumerate(LABELS)}
    solid = torch.tensor([noun.names[0] in SOLID for noun in NOUNS], device=facts.device)
    plain = (column["paint"] >= 0) & (column["paint"] < 12) & (column["second"] < 0)  # noqa: PLR2004
    centred = (column["count"] == 1) & (column["centred"] == 1)
    return centred & plain & solid[column["noun"].long()]


class Palette:
    """The mean colour of every class, measured on renders: which class is a colour nearest to?"""

    def __init__(self, colours: Tensor, classes: Tensor) -> None:
        """Average the colours [n, 3] of each class [n]."""
        known = torch.unique(classes)
        self._classes = known
        self._centres = torch.stack([colours[classes == each].mean(0) for each in known])

    def nearest(self, colours: Tensor) -> Tensor:
        """Return the class of each colour."""
        nearest: Tensor = self._classes[torch.cdist(colours, self._centres).argmin(1)]
        return nearest
