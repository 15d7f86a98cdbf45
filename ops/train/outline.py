"""How much outlines wobble, measured without a judge: a solid's silhouette against its own hull."""

import math
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull
from torch import Tensor
from torch.nn import functional

from ops.train.measure import linear
from ops.train.scene import Scene
from ops.train.words import BACKGROUNDS, NOUNS, PAINTS, Rgb

CONVEX: Final = ("ball", "cube", "cylinder", "cone", "capsule", "pyramid", "egg")
"""Objects whose silhouette has no dent from any side."""

_SIDE: Final = 256
_APART: Final = 0.35
"""The least sine of the angle between two colours, for the object to stand out in any light."""

_DARK: Final = 0.05
"""Linear light under which a colour's hue drowns in noise."""


def _sines(colours: Tensor, other: Tensor) -> Tensor:
    """Return the sine of the angle between colours [..., 3]: shadow and light do not change it."""
    cosine = functional.cosine_similarity(colours, other, dim=-1, eps=1e-4)
    return (1 - cosine.square()).clamp(min=0).sqrt()


def _plain(rgb: Rgb) -> Tensor:
    return linear(torch.tensor(rgb) / 127.5 - 1)


def traceable(scene: Scene) -> bool:
    """Whether a scene shows one convex solid, whole, in another hue than its ground."""
    thing = scene.things[0]
    paint, ground = PAINTS[thing.paint], BACKGROUNDS[scene.background]
    colours = _plain(paint.rgb), _plain(ground.rgb)
    return (
        len(scene.things) == 1
        and NOUNS[thing.noun].names[0] in CONVEX
        and (thing.second is None and paint.plain and not scene.table)
        and (scene.place == 0 and scene.size >= 0)
        and min(colour.max().item() for colour in colours) > _DARK
        and _sines(*colours).item() > _APART
    )


def _silhouette(picture: Tensor) -> NDArray[np.bool_]:
    """Return the pixels of the middle object of a picture [side, side, 3], linear; holes filled."""
    sines = _sines(picture, picture[: _SIDE // 10].reshape(-1, 3).mean(0))
    own = sines[int(0.46 * _SIDE) : int(0.6 * _SIDE), int(0.44 * _SIDE) : int(0.56 * _SIDE)]
    parts, count = ndimage.label((sines > max(own.median().item(), _APART) / 2).cpu().numpy())
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    sizes[0] = 0
    filled: NDArray[np.bool_] = ndimage.binary_fill_holes(parts == max(1, sizes.argmax()))
    return filled


def wobble(picture: Tensor) -> float:
    """Return how far a silhouette's edge lies inside its convex hull, in percent of the side.

    ``picture`` is [3, height, width] in [-1, 1]. The value is the root mean square over the edge's
    pixels, infinite where no object stands out. It sees dents and waves, not a rounded corner.
    """
    sized = functional.interpolate(picture[None], (_SIDE, _SIDE), mode="bilinear", antialias=True)
    body = _silhouette(linear(sized[0].permute(1, 2, 0)))
    edge = np.argwhere(body & ~ndimage.binary_erosion(body))
    if len(edge) < _SIDE // 4:
        return math.inf
    planes = ConvexHull(edge).equations
    inside = -(edge @ planes[:, :2].T + planes[:, 2]).max(1)
    return 100 / _SIDE * float(np.sqrt(np.square(inside).mean()))
