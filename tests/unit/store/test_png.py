import io
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from scheduler.errors import BadPngError
from service.store.png import size_of, texts_of, with_texts


def png(**texts: str) -> bytes:
    info = PngImagePlugin.PngInfo()
    for keyword, text in texts.items():
        info.add_itxt(keyword, text, zip=keyword.startswith("z"))
    out = io.BytesIO()
    Image.effect_noise((20, 10), 50).save(out, "PNG", pnginfo=info)
    return out.getvalue()


PLAIN = png()


def test_texts_go_in_and_the_pixels_stay() -> None:
    made = with_texts(PLAIN, {"parameters": "a cat", "kitty": '{"猫": "ö"}'})
    read = Image.open(io.BytesIO(made))
    read.load()
    assert read.text == {"parameters": "a cat", "kitty": '{"猫": "ö"}'}  # type: ignore[attr-defined]
    assert read.tobytes() == Image.open(io.BytesIO(PLAIN)).tobytes()
    assert size_of(made) == (20, 10)


def test_the_texts_stand_right_after_the_header() -> None:
    made = with_texts(PLAIN, {"a": "b"})
    assert made[:33] == PLAIN[:33]
    assert made[37:41] == b"tEXt"


def test_texts_that_were_there_are_dropped() -> None:
    made = with_texts(png(parameters="old", workflow="{}", zipped="x" * 100), {"kitty": "new"})
    read = Image.open(io.BytesIO(made))
    read.load()
    assert read.text == {"kitty": "new"}  # type: ignore[attr-defined]
    assert b"old" not in made


def test_a_repeat_gives_the_same_bytes() -> None:
    once = with_texts(PLAIN, {"a": "ä", "b": "c"})
    assert with_texts(once, {"a": "ä", "b": "c"}) == once


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back_save_for_its_zero_bytes(text: str) -> None:
    assert texts_of(with_texts(PLAIN, {"kitty": text}))["kitty"] == text.replace("\0", "\ufffd")


@given(st.integers(0, len(PLAIN) - 1))
def test_a_cut_png_is_refused(length: int) -> None:
    with pytest.raises(BadPngError):
        with_texts(PLAIN[:length], {"a": "b"})


def test_what_follows_the_end_is_dropped() -> None:
    assert with_texts(PLAIN + b"<script>", {}) == PLAIN


def test_a_png_without_header_is_refused() -> None:
    for body in (b"", b"GIF89a", PLAIN[:8] + PLAIN[33:]):
        with pytest.raises(BadPngError):
            with_texts(body, {})


def test_a_length_that_lies_is_refused() -> None:
    chunk = b"IDAT" + b"x" * 4
    lie = struct.pack(">I", 2**31) + chunk + struct.pack(">I", zlib.crc32(chunk))
    with pytest.raises(BadPngError):
        with_texts(PLAIN[:33] + lie, {})
    end = struct.pack(">I", 9) + PLAIN[-8:]
    with pytest.raises(BadPngError):
        with_texts(PLAIN[:-12] + end, {})
