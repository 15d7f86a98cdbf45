"""Staging: the numbers (camera, light, colours, poses) with which the renderer draws a scene."""

import math
from random import Random
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ops.train.scene import Scene, Thing
from ops.train.words import BACKGROUNDS, NOUNS, PAINTS, Rgb

_OBJECT: Final = np.dtype(
    [
        (name, "f4")
        for name in ("shape", "two", "scale", "x", "z", "cos", "sin", "wood", "metal", "gloss")
    ]
    + [("main", "f4", 3), ("second", "f4", 3)]
)
RECORD: Final = np.dtype(
    [
        (name, "f4")
        for name in (
            "count",
            "elevation",
            "distance",
            "half_width",
            "target",
            "table",
            "edge",
            "vignette",
            "grain",
            "sharpness",
            "power",
            "ambient",
            "darkness",
        )
    ]
    + [("background", "f4", 3), ("wood", "f4", 3), ("light", "f4", 3), ("objects", _OBJECT, 3)]
)
"""One scene for the renderer: the same names in the same order as ``Scene`` in studio.h."""

_TABLE: Final[Rgb] = (178, 122, 74)
_DISTANCE: Final = 5.0
_SCALE: Final = {-1: (0.54, 0.64), 0: (0.92, 1.06), 1: (1.24, 1.36)}
_SHIFT: Final = {-1: 0.64, 0: 0.47, 1: 0.30}
_GLOSS: Final = {"glossy": 0.95, "matte": 0.02, "metallic": 0.8}

Light = tuple[float, float, float]


def _linear(rgb: Rgb) -> Light:
    red, green, blue = ((channel / 255) ** 2.2 for channel in rgb)
    return red, green, blue


def _vary(dice: Random, colour: Light, by: float) -> Light:
    red, green, blue = (min(1.0, channel * dice.uniform(1 - by, 1 + by)) for channel in colour)
    return red, green, blue


def _shaded(colour: Light, shade: int) -> Light:
    red, green, blue = (c * 0.32 if shade < 0 else c * 0.5 + 0.42 if shade else c for c in colour)
    return red, green, blue


def _stage_thing(dice: Random, row: NDArray[np.void], thing: Thing, scale: float, x: float) -> None:
    noun, paint = NOUNS[thing.noun], PAINTS[thing.paint]
    main = _vary(dice, _shaded(_linear(paint.rgb), thing.shade), 0.06)
    row["shape"], row["scale"], row["x"], row["z"] = (
        thing.noun,
        scale * noun.tall,
        x,
        dice.uniform(-0.05, 0.05),
    )
    row["main"], row["second"] = main, main
    row["two"] = thing.second is not None
    if thing.second is not None:
        row["second"] = _vary(dice, _linear(PAINTS[thing.second].rgb), 0.06)
    elif noun.second_default:
        default = next(p for p in PAINTS if p.words[0] == noun.second_default)
        row["second"] = _vary(dice, _linear(default.rgb), 0.04)
    row["wood"] = paint.wood
    row["metal"] = 0.9 if paint.metal else 0.55 if thing.finish == "metallic" else 0.0
    row["gloss"] = _GLOSS.get(thing.finish, 0.7 if paint.metal else dice.uniform(0.28, 0.45))
    yaw = math.radians(dice.uniform(*noun.turn)) * dice.choice((-1, 1))
    row["cos"], row["sin"] = math.cos(yaw), math.sin(yaw)


def _layout(dice: Random, scene: Scene, aspect: float) -> tuple[list[float], list[float]]:
    """Return the scale and the x of every object; the frame is about 2.3 wide at the centre."""
    wide = min(1.3, max(1.0, aspect))
    match len(scene.things):
        case 1:
            shift = scene.place * _SHIFT[scene.size] * max(1.0, aspect) * dice.uniform(0.92, 1.08)
            return [dice.uniform(*_SCALE[scene.size])], [shift + dice.uniform(-0.05, 0.05)]
        case 2:
            size = dice.uniform(0.72, 0.80)
            scales = [size * (1 if scene.group else dice.uniform(0.95, 1.05)) for _ in range(2)]
            return scales, [side * wide + dice.uniform(-0.04, 0.04) for side in (-0.60, 0.60)]
        case _:
            size = dice.uniform(0.50, 0.56)
            return [size] * 3, [x * wide + dice.uniform(-0.03, 0.03) for x in (-0.8, 0.0, 0.8)]


def _stage_camera(dice: Random, row: NDArray[np.void], scene: Scene, tallest: float) -> None:
    low, high = {"above": (50, 60), "level": (4, 8), "": (16, 24)}[scene.view]
    row["elevation"] = math.radians(dice.uniform(low, high))
    row["distance"] = _DISTANCE
    row["half_width"] = (1.15 if len(scene.things) == 1 else 1.25) / _DISTANCE
    middle = 0.36 if scene.size < 0 else 0.62 * tallest if len(scene.things) == 1 else 0.50
    row["target"] = middle + dice.uniform(-0.03, 0.03)


def _stage_light(dice: Random, row: NDArray[np.void], scene: Scene) -> None:
    low, high = (60, 80) if scene.side else (30, 60)
    azimuth = math.radians(dice.uniform(low, high)) * (scene.side or dice.choice((-1, 1)))
    height = math.radians(dice.uniform(42, 56))
    row["light"] = (
        math.sin(azimuth) * math.cos(height),
        math.sin(height),
        math.cos(azimuth) * math.cos(height),
    )
    if scene.light == "soft":
        numbers = (
            dice.uniform(4, 6),
            dice.uniform(0.62, 0.70),
            dice.uniform(0.50, 0.58),
            dice.uniform(0.36, 0.48),
        )
    else:
        numbers = (
            dice.uniform(35, 60),
            dice.uniform(0.95, 1.05),
            dice.uniform(0.26, 0.32),
            dice.uniform(0.62, 0.74),
        )
    row["sharpness"], row["power"], row["ambient"], row["darkness"] = numbers


def stage(dice: Random, scene: Scene, aspect: float) -> NDArray[np.void]:
    """Return the record that draws the scene in a frame of the given width over height."""
    row = np.zeros((), RECORD)
    scales, places = _layout(dice, scene, aspect)
    row["count"] = len(scene.things)
    for i, thing in enumerate(scene.things):
        _stage_thing(dice, row["objects"][i], thing, scales[i], places[i])
    _stage_camera(dice, row, scene, max(scales))
    _stage_light(dice, row, scene)
    ground = _linear(BACKGROUNDS[scene.background].rgb)
    row["background"] = _vary(dice, ground, 0.05) if scene.background else ground
    row["vignette"], row["grain"] = dice.uniform(0.2, 0.6), dice.uniform(0, 50)
    if scene.table:
        row["table"], row["edge"] = 1, dice.uniform(2.2, 3.2)
        row["wood"] = _vary(dice, _linear(_TABLE), 0.08)
    return row
