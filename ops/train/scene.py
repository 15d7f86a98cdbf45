"""Random scenes as plain facts: what stands where, in which colours, and what is said of it."""

# ruff: noqa: PLR2004 - each share stands beside what it chooses
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from ops.train.words import BACKGROUNDS, COLOURS, NOUNS, PAINTS

WHITE_GROUND: Final = 0
GREY_GROUND: Final = 1
_PASSED_OVER: Final = 0.4
"""The share of easy scenes that lessons leave out, so that the hard ones come more often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """One object: indices into NOUNS and PAINTS; ``second`` only where the caption names it."""

    noun: int
    paint: int
    second: int | None = None
    shade: int = 0
    finish: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """All that a caption could say of a picture, and which parts of it the caption does say."""

    things: tuple[Thing, ...]
    background: int
    table: bool = False
    size: int = 0
    place: int = 0
    light: str = "soft"
    side: int = 0
    view: str = ""
    says_paint: bool = True
    says_ground: bool = True
    says_place: bool = False
    says_light: bool = False

    @property
    def group(self) -> bool:
        """Whether it shows several of the same object."""
        return len(self.things) > 1 and self.things[0] == self.things[1]


def held_paint(noun: int) -> int:
    """Return the paint that training never shows on this object; never one natural to it."""
    paint = (noun * 5 + 3) % len(PAINTS)
    while PAINTS[paint].words[0] in NOUNS[noun].natural:
        paint = (paint + 1) % len(PAINTS)
    return paint


def held_ground(noun: int) -> int:
    """Return the background that training never shows behind this object; never white or grey."""
    return 2 + (noun * 7 + 3) % (len(BACKGROUNDS) - 2)


def is_held(scene: Scene) -> bool:
    """Whether the scene shows a combination that is kept out of training."""
    return any(
        thing.paint == held_paint(thing.noun)
        or (not scene.table and scene.background == held_ground(thing.noun))
        for thing in scene.things
    )


def _paint(dice: Random, noun: int, *, said: bool) -> int:
    natural = NOUNS[noun].natural
    if not said and natural and dice.random() < 0.8:
        name = dice.choice(natural)
        return next(i for i, paint in enumerate(PAINTS) if paint.words[0] == name)
    return dice.randrange(len(PAINTS))


def _thing(dice: Random, *, said: bool, two_tone: float) -> Thing:
    noun = dice.randrange(len(NOUNS))
    paint = _paint(dice, noun, said=said)
    plain, second, shade, finish = PAINTS[paint].plain, None, 0, ""
    if said and NOUNS[noun].second and dice.random() < two_tone:
        second = dice.choice([i for i in range(COLOURS) if i != paint])
    elif plain:
        if paint < COLOURS - 3 and dice.random() < 0.08:
            shade = dice.choice((-1, 1))
        finish = dice.choices(("", "glossy", "matte", "metallic"), (80, 9, 7, 4))[0]
    return Thing(noun=noun, paint=paint, second=second, shade=shade, finish=finish)


def _things(dice: Random, *, said: bool) -> tuple[Thing, ...]:
    count = dice.choices((1, 2, 3), (68, 27, 5))[0]
    first = _thing(dice, said=said, two_tone=0.22 if count == 1 else 0.05)
    if count == 1:
        return (first,)
    if count == 3 or dice.random() < 0.2:
        return (replace(first, second=None),) * count
    while (other := _thing(dice, said=said, two_tone=0.05)).noun == first.noun:
        pass
    return (first, other)


def draw_any(dice: Random) -> Scene:
    """Draw a scene of any combination: what an examiner has to know."""
    says_paint, table = dice.random() < 0.92, dice.random() < 0.12
    things = _things(dice, said=says_paint)
    alone = len(things) == 1
    says_ground = dice.random() < (0.4 if table else 0.85)
    unsaid = dice.choices((WHITE_GROUND, GREY_GROUND, 3), (55, 30, 15))[0]
    says_light = dice.random() < 0.35
    light = (
        dice.choice(("soft", "hard")) if says_light else dice.choices(("soft", "hard"), (7, 3))[0]
    )
    place = dice.choice((-1, 1)) if alone and dice.random() < 0.16 else 0
    return Scene(
        things=things,
        background=dice.randrange(len(BACKGROUNDS)) if says_ground else unsaid,
        table=table,
        size=dice.choices((-1, 0, 1), (14, 70, 16))[0] if alone else 0,
        place=place,
        light=light,
        side=dice.choice((-1, 1)) if dice.random() < 0.08 else 0,
        view=dice.choices(("", "above", "level"), (88, 6, 6))[0],
        says_paint=says_paint,
        says_ground=says_ground,
        says_place=dice.random() < (0.97 if place else 0.08),
        says_light=says_light,
    )


def is_hard(scene: Scene) -> bool:
    """Whether an object is small, or hardly stands out from a ground of its own colour."""
    ground = BACKGROUNDS[scene.background].words[0]
    same = any(PAINTS[thing.paint].words[0] == ground for thing in scene.things)
    return scene.size < 0 or (same and not scene.table)


def draw_scene(dice: Random, *, held: bool = False) -> Scene:
    """Draw a scene: one with a combination held out of training, or one without any."""
    while is_held(scene := draw_any(dice)) is not held:
        pass
    return scene


def draw_lesson(dice: Random) -> Scene:
    """Draw a scene to train a model on: nothing held out, and more of what is hard."""
    while not is_hard(scene := draw_scene(dice)) and dice.random() < _PASSED_OVER:
        pass
    return scene
