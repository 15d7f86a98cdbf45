"""The grammar's nouns and colours, and every way to say them."""

from dataclasses import dataclass
from typing import Final

Rgb = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Noun:
    """One object: its names, how it turns, and what its second colour is.

    ``turn`` is the range of yaw in degrees (either sign); ``tall`` scales the object to the frame;
    ``second`` names the part with the second colour ("stripes", "roof"), ``second_default`` its
    colour when a caption names none (``None``: the object then has one colour only).
    """

    names: tuple[str, ...]
    plurals: tuple[str, ...]
    turn: tuple[float, float]
    tall: float = 1.0
    second: str = ""
    second_default: str | None = None
    natural: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Paint:
    """One colour or material; the first word is its name."""

    words: tuple[str, ...]
    rgb: Rgb
    metal: bool = False
    wood: bool = False

    @property
    def plain(self) -> bool:
        """Whether it is a colour, not a material."""
        return not (self.metal or self.wood)


ROUND: Final = (0.0, 180.0)

NOUNS: Final = (
    Noun(("ball", "sphere", "orb"), ("balls", "spheres", "orbs"), ROUND, second="stripes"),
    Noun(("cube", "box", "block"), ("cubes", "boxes", "blocks"), (18, 40), 0.98, "ribbon"),
    Noun(("cylinder", "tube"), ("cylinders", "tubes"), ROUND, second="band"),
    Noun(("cone",), ("cones",), ROUND, second="stripes"),
    Noun(("ring", "torus", "hoop"), ("rings", "hoops"), (5, 35), second="stripes"),
    Noun(
        ("donut", "doughnut"),
        ("donuts", "doughnuts"),
        ROUND,
        second="dough",
        natural=("pink", "brown"),
    ),
    Noun(("capsule", "pill"), ("capsules", "pills"), ROUND, second="half"),
    Noun(("pyramid",), ("pyramids",), (12, 36), second="tip"),
    Noun(("star",), ("stars",), (4, 26), natural=("yellow", "gold")),
    Noun(("heart",), ("hearts",), (4, 26), natural=("red",)),
    Noun(
        ("diamond", "gem", "crystal"),
        ("diamonds", "gems", "crystals"),
        ROUND,
        natural=("teal", "blue"),
    ),
    Noun(
        ("bottle", "water bottle", "flask"),
        ("bottles", "water bottles", "flasks"),
        ROUND,
        0.84,
        "cap",
        "black",
        ("steel", "blue"),
    ),
    Noun(("mug", "cup", "coffee mug"), ("mugs", "cups", "coffee mugs"), (0, 45), second="inside"),
    Noun(("vase",), ("vases",), ROUND, 0.92, "band", natural=("blue", "white")),
    Noun(("bowl",), ("bowls",), ROUND, second="inside", natural=("white", "wood")),
    Noun(("egg",), ("eggs",), ROUND, second="band", natural=("white",)),
    Noun(
        ("mushroom", "toadstool"),
        ("mushrooms", "toadstools"),
        ROUND,
        1.0,
        "dots",
        "white",
        ("red",),
    ),
    Noun(("apple",), ("apples",), (0, 60), 0.95, natural=("red", "green")),
    Noun(
        ("tree", "pine tree", "fir tree"), ("trees", "pine trees"), ROUND, 0.85, natural=("green",)
    ),
    Noun(
        ("house", "cottage", "home"),
        ("houses", "cottages"),
        (14, 38),
        1.0,
        "roof",
        "brown",
        ("white", "yellow"),
    ),
    Noun(
        ("lighthouse", "tower"),
        ("lighthouses", "towers"),
        ROUND,
        0.80,
        "stripes",
        "white",
        ("red",),
    ),
    Noun(
        ("gear", "cog", "cogwheel"),
        ("gears", "cogs", "cogwheels"),
        (6, 36),
        0.93,
        natural=("steel",),
    ),
    Noun(("chair", "seat"), ("chairs", "seats"), (14, 46), 0.90, "legs", natural=("wood",)),
    Noun(
        ("lamp", "table lamp", "desk lamp"),
        ("lamps", "table lamps"),
        ROUND,
        0.95,
        "base",
        "black",
        ("white", "yellow"),
    ),
    Noun(
        ("rocket", "spaceship", "rocket ship"),
        ("rockets", "spaceships"),
        (0, 22),
        0.90,
        "fins",
        "white",
        ("red", "orange"),
    ),
    Noun(
        ("car", "automobile", "toy car"),
        ("cars", "automobiles", "toy cars"),
        (4, 32),
        0.92,
        "roof",
        natural=("red", "blue"),
    ),
)

PAINTS: Final = (
    Paint(("red", "crimson", "scarlet"), (200, 30, 30)),
    Paint(("orange",), (240, 125, 20)),
    Paint(("yellow",), (245, 210, 30)),
    Paint(("green", "emerald"), (40, 150, 55)),
    Paint(("teal", "turquoise", "cyan"), (20, 165, 165)),
    Paint(("blue",), (35, 75, 205)),
    Paint(("purple", "violet"), (125, 45, 175)),
    Paint(("pink",), (245, 130, 180)),
    Paint(("brown",), (110, 65, 35)),
    Paint(("black",), (22, 22, 24)),
    Paint(("white",), (240, 240, 238)),
    Paint(("grey", "gray"), (128, 128, 130)),
    Paint(("steel", "stainless steel", "metal", "silver", "chrome"), (205, 210, 215), metal=True),
    Paint(("gold", "golden", "brass"), (250, 195, 80), metal=True),
    Paint(("copper", "bronze"), (225, 130, 90), metal=True),
    Paint(("wood", "wooden"), (190, 130, 75), wood=True),
)

BACKGROUNDS: Final = (
    Paint(("white",), (252, 252, 252)),
    Paint(("grey", "gray", "neutral grey"), (150, 151, 153)),
    Paint(("black",), (20, 20, 22)),
    Paint(("blue", "light blue", "sky blue"), (90, 145, 225)),
    Paint(("green",), (110, 185, 120)),
    Paint(("pink",), (245, 180, 200)),
    Paint(("sand", "beige", "cream"), (225, 200, 160)),
    Paint(("yellow",), (248, 215, 90)),
    Paint(("red",), (205, 60, 55)),
    Paint(("purple", "violet"), (150, 110, 200)),
    Paint(("teal", "turquoise"), (90, 190, 190)),
    Paint(("orange",), (245, 160, 80)),
)

COLOURS: Final = 12
"""The first so many paints are colours; shades and second colours are drawn from them."""
