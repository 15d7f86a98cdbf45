"""Reads what options are given: numbers, pictures, and several fields in one option."""

import base64
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import typer

_NEXT_FIELD = re.compile(r",\s*(?=\w+=)")
_FIELD = re.compile(r"(\w+)=(.*)", re.DOTALL)
_KEY = re.compile(r"(?:.*/)?[0-9]{8}_[0-9]{6}_[0-9a-f]{8}\.png")
"""What the keys of stored pictures look like; the service knows which of them there are."""


class Part(dict[str, object]):
    """A part of a request, as JSON has it."""


@dataclass(frozen=True, slots=True)
class LoraChoice:
    """A LoRA and its weight, written `name` or `name:0.8`."""

    name: str
    weight: float

    @classmethod
    def read(cls, text: str) -> "LoraChoice":
        """Read `name` or `name:weight`; a name may hold colons itself.

        Raises:
            typer.BadParameter: what follows the last colon is no number.
        """
        name, _, weight = text.rpartition(":")
        if not name:
            return cls(text, 1.0)
        try:
            return cls(name, number(weight))
        except typer.BadParameter:
            raise typer.BadParameter(f"{weight!r} is no weight; write name:0.8") from None


@dataclass(frozen=True, slots=True)
class Fields:
    """How one option says several fields: `1.5,strength=0.4`, where the first needs no name.

    A comma ends a value only where `name=` follows, so other commas may stand in it.

    Attributes:
        readers: What reads each field's value, under the API's names.
        needed: Which of them there must be.
    """

    readers: Mapping[str, Callable[[str], object]]
    needed: tuple[str, ...] = ()

    def read(self, text: str) -> Part:
        """Read the fields.

        Raises:
            typer.BadParameter: one is not known, wrong, missing, or there twice.
        """
        part = Part()
        for place, words in enumerate(_NEXT_FIELD.split(text)):
            name, value = self._divide(words, first=place == 0)
            if name in part:
                raise typer.BadParameter(f"{name} is there twice")
            try:
                part[name] = self.readers[name](value)
            except typer.BadParameter as error:
                raise typer.BadParameter(f"{name}: {error.message}") from None
        if missing := [name for name in self.needed if name not in part]:
            raise typer.BadParameter(f"{missing[0]}= is missing in {text!r}")
        return part

    def _divide(self, words: str, *, first: bool) -> tuple[str, str]:
        """Return a field's name and value."""
        found = _FIELD.fullmatch(words)
        if found is None and first:
            return next(iter(self.readers)), words
        if found is None or found[1] not in self.readers:
            stranger = found[1] if found else words
            raise typer.BadParameter(f"{stranger!r} is none of {', '.join(self.readers)}")
        return found[1], found[2]


def number(text: str) -> float:
    """Read a number.

    Raises:
        typer.BadParameter: it is none, or one that JSON cannot say.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise typer.BadParameter(f"{text!r} is no number")
    return value


def whole(text: str) -> int:
    """Read a whole number.

    Raises:
        typer.BadParameter: it is none.
    """
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no whole number") from None


def word(text: str) -> str:
    """Read a name.

    Raises:
        typer.BadParameter: there is nothing.
    """
    if not text.strip():
        raise typer.BadParameter("nothing is given")
    return text


def picture(text: str) -> str:
    """Read a picture as the service takes it: a file in base64, a stored picture by its key.

    Raises:
        typer.BadParameter: there is no such file, and it is no key either.
    """
    try:
        data = Path(text).read_bytes()
    except FileNotFoundError:
        if _KEY.fullmatch(text):
            return text
        detail = f"{text!r} does not exist; give a file, or the key of a stored picture"
        raise typer.BadParameter(detail) from None
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{text!r}: {getattr(error, 'strerror', error)}") from None
    if not data:
        raise typer.BadParameter(f"{text!r} is empty")
    return base64.standard_b64encode(data).decode()
