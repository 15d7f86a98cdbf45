"""What a server has, in the words of `engines.base.ModelInfo`; pure."""

from dataclasses import replace

from engines.a1111.stock import Checkpoint, Stock
from engines.base import ModelDefaults, ModelInfo

_LARGE = ModelDefaults(width=1024, height=1024)
_LARGE_MARKS = ("xl", "pony", "illustrious")
"""The API does not tell families; these names are how people tell SDXL files from others."""


def model_cards(stock: Stock) -> tuple[ModelInfo, ...]:
    """Describe everything that a request may name; of equal names the first one counts."""
    cards = [
        *(_checkpoint(checkpoint, stock.loaded) for checkpoint in stock.checkpoints),
        *(
            ModelInfo(name=lora.name, kind="lora", base=lora.family, aliases=lora.aliases)
            for lora in stock.loras or ()
        ),
        *(_controlnet(name) for name in stock.controlnets),
        *(ModelInfo(name=name, kind="vae") for name in stock.vaes),
        *(ModelInfo(name=name, kind="upscaler") for name in stock.upscalers if name != "None"),
    ]
    return tuple({(card.kind, card.name): card for card in reversed(cards)}.values())[::-1]


def _checkpoint(checkpoint: Checkpoint, loaded: str) -> ModelInfo:
    large = any(mark in checkpoint.name.casefold() for mark in _LARGE_MARKS)
    card = ModelInfo(
        name=checkpoint.name,
        base="sdxl" if large else "",
        guessed=large,
        aliases=checkpoint.aliases,
        digest=checkpoint.sha256,
        loaded=loaded in (checkpoint.title, checkpoint.name),
    )
    return replace(card, defaults=_LARGE) if large else card


def _controlnet(name: str) -> ModelInfo:
    bare = name.split(" [", maxsplit=1)[0]
    return ModelInfo(name=bare, kind="controlnet", aliases=(name,) if name != bare else ())
