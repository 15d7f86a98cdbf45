"""What counts as a picture."""

import io
import struct
import zlib

import pytest
from PIL import Image, PngImagePlugin

from engines.card import chunk
from engines.card import test_card as card
from engines.errors import BadPictureError
from engines.verify import verify


def encoded(kind: str, picture: Image.Image, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def striped(mode: str = "RGB") -> Image.Image:
    picture = Image.new("RGB", (64, 48))
    picture.paste((255, 128, 0), (0, 0, 32, 48))
    return picture.convert(mode)


def test_a_png_comes_back_byte_for_byte() -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("parameters", "a lighthouse")
    for png in (
        card(width=64, height=48, seed=1),
        encoded("PNG", striped(), pnginfo=notes),
        encoded("PNG", striped("RGBA")),
        encoded("PNG", striped("L")),
        encoded("PNG", striped("P")),
    ):
        assert verify(png, width=64, height=48) is png


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_other_formats_become_png(kind: str) -> None:
    png = verify(encoded(kind, striped()), width=64, height=48)
    with Image.open(io.BytesIO(png)) as picture:
        assert (picture.format, picture.size) == ("PNG", (64, 48))


def test_another_size_is_refused() -> None:
    with pytest.raises(BadPictureError, match="64x48 came, not 64x64"):
        verify(card(width=64, height=48, seed=1), width=64, height=64)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
@pytest.mark.parametrize("colour", [0, 255])
def test_one_flat_colour_is_refused(mode: str, colour: int) -> None:
    flat = Image.new("L", (64, 48), colour).convert("RGB").convert(mode)
    with pytest.raises(BadPictureError, match="flat"):
        verify(encoded("PNG", flat), width=64, height=48)


def test_two_colours_are_enough() -> None:
    flat = Image.new("RGB", (64, 48))
    flat.putpixel((63, 47), (0, 0, 1))
    verify(encoded("PNG", flat), width=64, height=48)


def test_a_picture_that_ends_too_early_is_refused_wherever_it_ends() -> None:
    whole = encoded("PNG", Image.effect_noise((64, 48), 60))
    for end in range(0, len(whole), max(1, len(whole) // 50)):
        with pytest.raises(BadPictureError):
            verify(whole[:end], width=64, height=48)
    with pytest.raises(BadPictureError):
        verify(whole[:-1], width=64, height=48)


def test_a_damaged_byte_is_noticed() -> None:
    whole = bytearray(encoded("PNG", Image.effect_noise((64, 48), 60)))
    whole[len(whole) // 2] ^= 0xFF
    with pytest.raises(BadPictureError):
        verify(bytes(whole), width=64, height=48)


@pytest.mark.parametrize("data", [b"", b"<html>busy</html>", b"GIF89a" + b"\0" * 100])
def test_no_picture_at_all(data: bytes) -> None:
    with pytest.raises(BadPictureError):
        verify(data, width=64, height=48)


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 2**20)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels)
    with pytest.raises(BadPictureError):
        verify(bomb, width=64, height=48)
