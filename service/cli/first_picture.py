"""Starts the service, draws a first picture while you watch, and serves until Ctrl-C."""

import argparse
import asyncio
import os
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

from dotenv import dotenv_values
from rich.markup import escape

from service.cli import graphics, output
from service.cli.client import Address, Images, connect
from service.cli.exits import CliError
from service.cli.replies import Job
from service.cli.server import Server, ServerDiedError, answers
from service.cli.watch import warn, watch
from service.settings import Settings, SettingsError, read_settings

FIRST_PROMPT = "a red cube on a wooden table"

_NEARLY = 0.8
_WRONG_SETTING = 2
"""Exit status for a wrong setting, ours and the service's."""


def main(*, interrupted: int) -> None:
    """Do what the command line asks and exit with its status; `interrupted` is Ctrl-C's."""
    name = Path(sys.argv[0]).name
    name = "ops/run" if name == "first_run.py" else name
    asked = _parser(name).parse_args()
    try:
        settings = _settings(asked.settings, light=asked.light)
        sys.exit(asyncio.run(serve(settings, prompt=asked.prompt, once=asked.once)))
    except SettingsError as error:
        sys.stderr.write(f"{name}: {error}\n")
        sys.exit(_WRONG_SETTING)
    except (KeyboardInterrupt, asyncio.CancelledError):
        # Ctrl-C or SIGTERM is how a service that was to run for ever ends; a picture it cuts short.
        sys.exit(interrupted if asked.once else 0)


def _parser(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=name,
        description="Start KITTY Images, draw a picture while you watch, say where the PNG lies "
        "and where the gallery is, and keep serving until Ctrl-C. Settings are environment "
        "variables.",
        epilog="Exit status: 0 ended as asked; 1 no picture could be drawn, or the service died; "
        "2 wrong usage or a wrong setting.",
    )
    parser.add_argument(
        "prompt", nargs="?", help="what to draw; by default something, into an empty gallery"
    )
    parser.add_argument(
        "--once", action="store_true", help="end after the picture; its path is the last line"
    )
    parser.add_argument(
        "--light", action="store_true", help="draw test cards where no engine is set up"
    )
    parser.add_argument(
        "--settings", type=Path, help="file with settings; the environment's own win"
    )
    return parser


def _settings(file: Path | None, *, light: bool) -> Settings:
    """Read the settings from the environment and, where that is silent, from a file.

    Raises:
        SettingsError: one of them is wrong.
    """
    if file is not None and file.is_file():
        given = dotenv_values(file)
        _suspect(file, given)
        for name, value in given.items():
            if value:
                os.environ.setdefault(name, value)
    if light and not os.environ.get("IMAGE_ENGINE") and find_spec("torch") is not None:
        # torch may be there from an earlier run; --light means to do without it all the same.
        os.environ["IMAGE_ENGINE"] = "fake"
    return read_settings()


def _suspect(file: Path, names: Iterable[str]) -> None:
    """Say which names in a file are no settings but nearly; it may hold other programs', too."""
    known = [name.upper() for name in Settings.model_fields]
    for name in names:
        near = get_close_matches(name.upper(), known, n=1, cutoff=_NEARLY)
        if near and near[0] != name.upper() and not name.startswith("OTEL_"):
            text = f"{file.name}: there is no setting {name}; {near[0]} is one"
            output.news().print(f"[yellow]Note[/]  {escape(text)}")


async def serve(settings: Settings, *, prompt: str | None, once: bool) -> int:
    """Start the service, or take the one that runs; draw, report, and serve until it ends."""
    news, address = output.news(), _address(settings)
    async with connect(address) as images:
        if await answers(images):
            news.print(f"KITTY Images runs already at {address.base}; drawing there.")
            return await _draw_and_tell(images, settings, prompt or FIRST_PROMPT, once=once)
        async with Server(log=settings.data_dir / "service.log") as server:
            try:
                await server.wait_until_up(images)
            except ServerDiedError as error:
                news.print(f"[bold red]Error[/] {escape(str(error))}")
                return _WRONG_SETTING if error.code == _WRONG_SETTING else 1
            news.print(f"KITTY Images answers at {address.base}")
            wanted = prompt or (FIRST_PROMPT if once or await _empty(images) else None)
            status = await _draw_and_tell(images, settings, wanted, once=once)
            if once:
                return status
            news.print(f"log      {server.log}\n[dim]Ctrl-C ends it.[/]")
            code = await server.ended()
            news.print(f"[bold red]Error[/] the service ended by itself ({code}); see {server.log}")
            return 1


def _address(settings: Settings) -> Address:
    """Return where the service will be reached from this machine."""
    host = settings.service_host
    if host in ("0.0.0.0", "::", ""):  # noqa: S104 - not bound to, only understood
        host = "127.0.0.1"
    token = settings.api_token.get_secret_value() if settings.api_token else None
    return Address(f"http://{host}:{settings.service_port}", token)


async def _empty(images: Images) -> bool:
    return not (await images.page("latest", limit=1))["items"]


async def _draw_and_tell(
    images: Images, settings: Settings, prompt: str | None, *, once: bool
) -> int:
    """Draw a picture, or take the newest; say where it is and where the gallery is."""
    news, gallery = output.news(), images.address.url("vision")
    try:
        key = await _draw(images, prompt) if prompt else await _newest(images)
        place = await _locate(images, settings, key)
    except CliError as error:
        news.print(f"[bold red]Error[/] {escape(str(error))}")
        news.print(f"gallery  {gallery}")
        return 1
    if once:
        news.print(f"gallery  {gallery}")
        sys.stdout.write(f"{place}\n")
    else:
        output.results().print(f"picture  {place}\ngallery  {gallery}", markup=False)
    return 0


async def _draw(images: Images, prompt: str) -> str:
    """Draw a picture while it is watched; return its key."""
    news = output.news()
    accepted = await images.submit({"prompt": prompt})
    if accepted["engine"] == "fake":
        news.print("No engine that draws is set up, so this will be a test card (README: Engines).")
    news.print(f"drawing  {prompt}", markup=False)
    warn(accepted["warnings"], news)
    job: Job = await watch(images, accepted["job_id"], news)
    artifact = job["artifacts"][0]
    if graphics.means(os.environ, news):
        graphics.show(await images.fetch("GET", artifact["url"]), news, os.environ)
    return artifact["key"]


async def _newest(images: Images) -> str:
    """Return the key of the newest picture."""
    return str((await images.page("latest", limit=1))["items"][0]["key"])


async def _locate(images: Images, settings: Settings, key: str) -> Path:
    """Return where a picture's PNG lies here; one that lies in a bucket is fetched first."""
    if settings.s3_endpoint_url is None and (place := settings.bucket_folder / key).is_file():
        return place
    copy = settings.data_dir / "copies" / Path(key).name
    png = await images.fetch("GET", f"api/images/file/{key}")
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_bytes(png)
    return copy
