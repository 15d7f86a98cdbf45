"""Pictures in terminals: which means is taken, and what is sent."""

import base64
import io
import re

import pytest
from PIL import Image
from rich.color import ColorTriplet
from rich.console import Console

from service.cli import graphics


def png(*colours: tuple[int, int, int], width: int = 8) -> bytes:
    """Return stripes of these colours, one above the other, each as high as wide."""
    picture = Image.new("RGB", (width, width * len(colours)))
    for place, colour in enumerate(colours):
        picture.paste(colour, (0, place * width, width, (place + 1) * width))
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def terminal(**more: object) -> Console:
    """Return a console that takes itself for a terminal."""
    settings = {"color_system": "truecolor", "width": 80, **more}
    return Console(file=io.StringIO(), force_terminal=True, **settings)


@pytest.mark.parametrize(
    ("environ", "means"),
    [
        ({"KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM_PROGRAM": "ghostty"}, "kitty"),
        ({"TERM_PROGRAM": "iTerm.app"}, "iterm"),
        ({"LC_TERMINAL": "iTerm2"}, "iterm"),
        ({"KITTY_WINDOW_ID": "1", "TMUX": "/run/tmux"}, "blocks"),
        ({"LC_TERMINAL": "iTerm2", "STY": "1.pts"}, "blocks"),
        ({"TERM": "xterm-256color"}, "blocks"),
    ],
)
def test_the_terminal_is_known_by_its_names(environ: dict[str, str], means: str) -> None:
    assert graphics.means(environ, terminal()) == means


def test_a_file_gets_no_picture_whatever_the_terminal_is_called() -> None:
    console = Console(file=io.StringIO(), force_terminal=False)
    assert graphics.means({"KITTY_WINDOW_ID": "1"}, console) is None
    graphics.show(png((255, 0, 0)), console, {"KITTY_WINDOW_ID": "1"})
    assert console.file.getvalue() == ""


def test_a_terminal_without_colours_gets_no_blocks() -> None:
    assert graphics.means({}, terminal(color_system="standard")) is None


def test_kitty_receives_the_whole_file_in_chunks_it_accepts() -> None:
    file = bytes(range(256)) * 64
    codes = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", graphics.kitty(file, columns=40))
    assert base64.standard_b64decode("".join(data for _, data in codes)) == file
    assert all(len(data) <= 4096 for _, data in codes)
    assert codes[0][0] == "a=T,f=100,q=2,c=40,m=1"
    assert [keys for keys, _ in codes[1:]] == ["m=1"] * (len(codes) - 2) + ["m=0"]


def test_a_small_picture_is_one_chunk_and_the_last() -> None:
    assert graphics.kitty(b"abc", columns=9) == "\x1b_Ga=T,f=100,q=2,c=9,m=0;YWJj\x1b\\"


def test_iterm_receives_the_file_with_its_size() -> None:
    code = graphics.iterm(b"abc", columns=40)
    assert code == "\x1b]1337;File=inline=1;size=3;width=40:YWJj\x07"


def test_a_half_block_is_one_pixel_above_another() -> None:
    text = graphics.blocks(png((255, 0, 0), (0, 0, 255), width=1), columns=1)
    assert text.plain == "▀"
    style = text.spans[0].style
    assert style.color.triplet == ColorTriplet(255, 0, 0)
    assert style.bgcolor.triplet == ColorTriplet(0, 0, 255)


def test_blocks_keep_the_shape_of_the_picture() -> None:
    lines = graphics.blocks(png((9, 9, 9), (9, 9, 9)), columns=10).plain.split("\n")
    assert [len(line) for line in lines] == [10] * 10
