"""Captions: one scene said in many ways, with synonyms, filler and nonsense as people type them."""

# ruff: noqa: PLR2004 - each share stands beside the words that it chooses
import string
from random import Random

from ops.train import phrases, words
from ops.train.scene import Scene, Thing


def _article(dice: Random, noun_phrase: str) -> str:
    kind = dice.random()
    if kind < 0.2:
        return noun_phrase
    if kind < 0.26:
        return "the " + noun_phrase
    return ("an " if noun_phrase[0] in "aeiou" else "a ") + noun_phrase


def _paint(dice: Random, thing: Thing) -> str:
    paint = words.PAINTS[thing.paint]
    # The plain name is said as often as all its synonyms together.
    name = paint.words[0] if dice.random() < 0.5 else dice.choice(paint.words)
    name = "wooden" if paint.wood and dice.random() < 0.8 else name
    return f"{dice.choice(phrases.SHADES[thing.shade])} {name}" if thing.shade else name


def _name(dice: Random, names: tuple[str, ...]) -> str:
    return names[0] if dice.random() < 0.6 else dice.choice(names)


def _two_toned(dice: Random, thing: Thing, paint: str, name: str) -> str:
    second = dice.choice(words.PAINTS[thing.second or 0].words)
    part = words.NOUNS[thing.noun].second
    kind = dice.random()
    if kind < 0.6:
        return _article(dice, f"{paint} and {second} {name}")
    if kind < 0.7 and part == "stripes":
        return _article(dice, f"{paint} and {second} striped {name}")
    return (
        _article(dice, f"{paint} {name}")
        + f" with {'a ' if part[-1] != 's' else ''}{second} {part}"
    )


def _object(dice: Random, scene: Scene, thing: Thing) -> str:
    noun, count = words.NOUNS[thing.noun], len(scene.things)
    paint = _paint(dice, thing) if scene.says_paint else ""
    adjectives = [dice.choice(phrases.SIZES[scene.size])] if scene.size else []
    if thing.finish:
        adjectives.append(dice.choice(phrases.FINISHES[thing.finish]))
    if scene.group:
        phrase = " ".join([*adjectives, *([paint] if paint else []), _name(dice, noun.plurals)])
        return f"{dice.choice(phrases.COUNTS[count])} {phrase}"
    name = _name(dice, noun.names)
    if thing.second is not None:
        return _two_toned(dice, thing, " ".join([*adjectives, paint]), name)
    if paint and dice.random() < 0.05:
        said_after = dice.choice((" that is {}", " in {}", ", {}")).format(paint)
        return _article(dice, " ".join([*adjectives, name])) + said_after
    if paint:
        adjectives.insert(0 if dice.random() < 0.1 else len(adjectives), paint)
    return _article(dice, " ".join([*adjectives, name]))


def _subject(dice: Random, scene: Scene) -> str:
    if scene.group or len(scene.things) == 1:
        return _object(dice, scene, scene.things[0])
    left, right = (_object(dice, scene, thing) for thing in scene.things)
    joint = dice.choices(
        (
            "{0} and {1}",
            "{0} next to {1}",
            "{0} beside {1}",
            "{0} to the left of {1}",
            "{1} to the right of {0}",
        ),
        (60, 12, 8, 10, 10),
    )[0]
    return joint.format(left, right)


def _ground(dice: Random, scene: Scene) -> str:
    background = dice.choice(words.BACKGROUNDS[scene.background].words)
    if scene.table:
        table = dice.choice(phrases.TABLES)
        return (
            table + dice.choice(phrases.BEHIND_TABLE).format(background)
            if scene.says_ground
            else table
        )
    return dice.choice(phrases.GROUNDS).format(background) if scene.says_ground else ""


def _noise(dice: Random) -> list[str]:
    extra: list[str] = []
    if dice.random() < 0.16:
        extra += dice.sample(phrases.PRAISE, dice.randint(1, 3))
    if dice.random() < 0.05:
        letters = string.ascii_lowercase + string.digits
        extra.append("".join(dice.choices(letters, k=dice.randint(2, 9))))
    return extra


def caption(dice: Random, scene: Scene, *, noise: bool = True) -> str:
    """Say what the scene shows; with noise, also praise and unknown words that mean nothing."""
    text = f"{dice.choice(phrases.OPENINGS)} {_subject(dice, scene)}".strip()
    tails = [dice.choice(phrases.PLACES[scene.place])] if scene.says_place else []
    if ground := _ground(dice, scene):
        tails.append(ground)
    if dice.random() < 0.25:
        dice.shuffle(tails)
    for tail in tails:
        bound = tail.startswith(("on ", "at ", "against ", "with ", "in ", "standing "))
        text += (" " if bound and dice.random() < 0.7 else ", ") + tail
    extra = [dice.choice(phrases.LIGHTS[scene.light])] if scene.says_light else []
    extra += [dice.choice(phrases.SIDES[scene.side])] if scene.side else []
    extra += [dice.choice(phrases.VIEWS[scene.view])] if scene.view else []
    if noise:
        extra += _noise(dice)
        dice.shuffle(extra)
    for phrase in extra:
        text += (", " if dice.random() < 0.9 else " ") + phrase
    return text + "." if dice.random() < 0.05 else text


def empty_caption(dice: Random) -> str:
    """Say nothing, or what people type as a negative prompt: the unconditional half of guidance."""
    if dice.random() < 0.7:
        return ""
    return ", ".join(dice.sample(phrases.BLAME + phrases.PRAISE[:6], dice.randint(1, 5)))
