"""What an operator may say about a model: a card `kitty.json` in its folder, or beside its file."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engines.diffusers.headers import BrokenFileError

IN_FOLDER = "kitty.json"
BESIDE_FILE = ".kitty.json"
"""Takes the place of `.safetensors` in the file's name."""

Side = Annotated[int, Field(ge=16, le=8192)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Defaults(_Part):
    """What is drawn when the request leaves it open."""

    width: Side | None = None
    height: Side | None = None
    steps: Annotated[int, Field(ge=1, le=200)] | None = None
    cfg: Annotated[float, Field(ge=0, le=50)] | None = None
    sampler: str | None = None


class Bounds(_Part):
    """Side lengths in pixels between which the model draws well."""

    least: Side = 64
    most: Side = 2048


class Card(_Part):
    """One model's card; what it leaves open is told from the tensors.

    Attributes:
        base: Family: `sd15`, `sd2`, `sdxl`, `sdxl-refiner`.
        vae: Name of the autoencoder in the models folder that takes the place of the model's own.
    """

    name: str | None = None
    aliases: tuple[str, ...] = ()
    base: str | None = None
    trigger_words: tuple[str, ...] | None = None
    defaults: Defaults = Defaults()
    bounds: Bounds = Bounds()
    refused_samplers: tuple[str, ...] = ()
    vae: str | None = None


def read_card(path: Path) -> Card:
    """Return the card of a model folder or file; an empty one where it has none.

    Raises:
        BrokenFileError: there is one, but it is not in order.
    """
    card = path / IN_FOLDER if path.is_dir() else path.with_suffix(BESIDE_FILE)
    try:
        content = card.read_bytes()
    except FileNotFoundError:
        return Card()
    except OSError as error:
        raise BrokenFileError(f"{card.name} cannot be read: {error.strerror}") from error
    try:
        return Card.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        said = f"{place}: {first['msg']}" if place else first["msg"]
        raise BrokenFileError(f"{card.name}: {said}") from error
