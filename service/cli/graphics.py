"""Shows a picture in the terminal, by the best means that the terminal has."""

import base64
import io
from collections.abc import Mapping
from typing import Literal, TypeAlias

from PIL import Image
from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.text import Text

Means: TypeAlias = Literal["kitty", "iterm", "blocks"]

_COLUMNS = 40
_CHUNK = 4096
_UPPER_HALF = "\N{UPPER HALF BLOCK}"


def means(environ: Mapping[str, str], console: Console) -> Means | None:
    """Say how the terminal on `console` can show a picture; None when it cannot.

    Terminals name themselves in the environment. Inside tmux and screen these names are still
    those of the terminal outside, which they keep its graphics from, so colours must do there.
    """
    if not console.is_terminal:
        return None
    program = environ.get("TERM_PROGRAM", "")
    if not environ.get("TMUX") and not environ.get("STY"):
        if (
            environ.get("KITTY_WINDOW_ID")
            or "kitty" in environ.get("TERM", "")
            or program == "ghostty"
            or environ.get("KONSOLE_VERSION")
        ):
            return "kitty"
        if program in ("iTerm.app", "WezTerm") or environ.get("LC_TERMINAL") == "iTerm2":
            return "iterm"
    return "blocks" if console.color_system in ("256", "truecolor") else None


def show(png: bytes, console: Console, environ: Mapping[str, str]) -> None:
    """Print a picture, 40 columns wide, on terminals that can; else nothing."""
    match means(environ, console):
        case "kitty":
            console.file.write(kitty(png, columns=_COLUMNS) + "\n")
        case "iterm":
            console.file.write(iterm(png, columns=_COLUMNS) + "\n")
        case "blocks":
            console.print(blocks(png, columns=min(_COLUMNS, console.width)))
        case None:
            return
    console.file.flush()


def kitty(png: bytes, *, columns: int) -> str:
    """Return the escape codes of kitty's graphics protocol.

    `a=T` sends and shows, `f=100` is PNG, `q=2` wants no answer, `m=1` says that more chunks of
    at most 4096 base64 letters follow (sw.kovidgoyal.net/kitty/graphics-protocol).
    """
    data = base64.standard_b64encode(png).decode()
    chunks = [data[start : start + _CHUNK] for start in range(0, len(data), _CHUNK)]
    codes = []
    for place, chunk in enumerate(chunks):
        first = f"a=T,f=100,q=2,c={columns}," if place == 0 else ""
        more = int(place < len(chunks) - 1)
        codes.append(f"\x1b_G{first}m={more};{chunk}\x1b\\")
    return "".join(codes)


def iterm(png: bytes, *, columns: int) -> str:
    """Return the escape code of iTerm2's inline images (iterm2.com/documentation-images.html)."""
    data = base64.standard_b64encode(png).decode()
    return f"\x1b]1337;File=inline=1;size={len(png)};width={columns}:{data}\x07"


def blocks(png: bytes, *, columns: int) -> Text:
    """Return the picture as half blocks: each letter is one pixel above another."""
    with Image.open(io.BytesIO(png)) as opened:
        rows = max(1, round(columns * opened.height / opened.width / 2))
        pixels = opened.convert("RGB").resize((columns, rows * 2), Image.Resampling.LANCZOS)
    data, text = pixels.tobytes(), Text(no_wrap=True)
    for row in range(rows):
        for column in range(columns):
            upper, lower = (
                Color.from_rgb(*data[start : start + 3])
                for start in (((row * 2 + half) * columns + column) * 3 for half in (0, 1))
            )
            text.append(_UPPER_HALF, Style(color=upper, bgcolor=lower))
        text.append("\n")
    text.rstrip()
    return text
