"""The grammar's phrases: sizes, places, light, openings, praise and blame."""

from typing import Final


def _listed(phrases: str) -> tuple[str, ...]:
    return tuple(phrase.strip() for phrase in phrases.split("|"))


SIZES: Final = {-1: ("small", "tiny", "little"), 1: ("large", "big", "huge")}
COUNTS: Final = {2: ("two", "a pair of", "2"), 3: ("three", "3")}
SHADES: Final = {-1: ("dark", "deep"), 1: ("light", "pale")}
FINISHES: Final = {
    "glossy": ("glossy", "shiny", "polished"),
    "matte": ("matte",),
    "metallic": ("metallic",),
}
PLACES: Final = {
    -1: ("on the left", "at the left", "on the left side"),
    0: ("in the center", "in the centre", "in the middle", "centered"),
    1: ("on the right", "at the right", "on the right side"),
}
LIGHTS: Final = {
    "soft": (
        "soft shadow",
        "soft light",
        "soft lighting",
        "soft shadows",
        "diffuse light",
        "softbox lighting",
    ),
    "hard": (
        "hard light",
        "hard shadow",
        "harsh light",
        "strong shadow",
        "dramatic light",
        "direct light",
    ),
}
SIDES: Final = {
    -1: ("light from the left", "lit from the left"),
    1: ("light from the right", "lit from the right"),
}
VIEWS: Final = {
    "above": ("from above", "top view", "high angle view"),
    "level": ("eye level", "side view", "front view"),
}
TABLES: Final = (
    "on a wooden table",
    "on a table",
    "on a wooden desk",
    "standing on a wooden table",
)
BEHIND_TABLE: Final = (
    ", {} background",
    " with a {} background",
    ", {} wall behind",
    " against a {} wall",
)
GROUNDS: Final = _listed(
    "on a {} background | on {} | on a {} surface | against a {} background | with a {} "
    "background | {} background | against a {} backdrop | in front of a {} wall | in a {} "
    "studio"
)
OPENINGS: Final = _listed(
    "a studio photo of | studio photo of | a photo of | photo of | a product photo of | "
    "product shot of | a render of | 3d render of | an image of | a picture of | a drawing of "
    "| draw |  |  |  |  |  |"
)
PRAISE: Final = _listed(
    "highly detailed | 4k | 8k | high quality | best quality | masterpiece | photorealistic | "
    "realistic | sharp focus | minimalist | minimal | clean | professional | product "
    "photography | octane render | cinematic | beautiful | simple | ultra detailed | hd | "
    "centered composition | isolated | studio lighting | award winning | stock photo"
)
BLAME: Final = _listed(
    "blurry | low quality | worst quality | watermark | text | ugly | deformed | noisy | jpeg "
    "artifacts | bad anatomy | lowres | cropped | out of frame | duplicate | logo | signature "
    "| grainy | extra fingers | people | cartoon"
)
SPARE: Final = _listed(
    "a | an | the | of | on | in | at | to | and | with | next | beside | left | right | from "
    "| above | below | under | it | its | over | behind | some | one | my | your | me | "
    "please | for | without | no | not | by | that | is | very | my | make | show | generate "
    "| some | object | objects | thing | toy | colored | coloured | color | colour | striped "
    "| bright | close | up | macro | magenta | lime | navy | plate | cat | dog | , | . | - | "
    "! | ? | : | ; | ( | )"
)
"""Words of everyday prompts that get a token of their own, drawn or not."""

CHOICES: Final = (SIZES, COUNTS, SHADES, FINISHES, PLACES, LIGHTS, SIDES, VIEWS)
LISTS: Final = (TABLES, BEHIND_TABLE, GROUNDS, OPENINGS, PRAISE, BLAME, SPARE)
"""All phrases, in the order in which the tokenizer numbers their words: never reorder them."""
