"""Commands about stored pictures: list the newest, select one for other tools, delete one."""

from dataclasses import dataclass
from urllib.parse import quote

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from service.cli import listing, options, output
from service.cli.client import Address, Images, connect
from service.cli.exits import UsageError, run
from service.cli.replies import StoredPicture

_USUAL = 50
"""How many of the newest an index can reach when nothing was listed before."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which pictures to list."""

    limit: int
    search: str | None = None
    model: str | None = None
    tag: str | None = None


def list_pictures(
    context: typer.Context,
    limit: options.Limit = 12,
    search: options.Query = None,
    model: options.OfModel = None,
    tag: options.OfTag = None,
    *,
    as_json: options.AsJson = False,
) -> None:
    """List the newest pictures; images.select takes their numbers."""
    wanted = Wanted(limit, search, model, tag)
    run(_list(options.address(context), wanted, as_json=as_json), as_json=as_json)


async def _list(address: Address, wanted: Wanted, *, as_json: bool) -> None:
    async with connect(address) as images:
        page = await images.page(
            "latest", limit=wanted.limit, q=wanted.search, model=wanted.model, tag=wanted.tag
        )
    items: list[StoredPicture] = page["items"]
    listing.remember(address.base, [item["key"] for item in items])
    if as_json:
        output.print_json(page)
        return
    console = output.results()
    if not items and (wanted.search or wanted.model or wanted.tag):
        console.print("Nothing matches.")
    elif not items:
        console.print('No pictures. Draw one: kitty-cli images.generate "a lighthouse at dusk"')
    elif console.is_terminal:
        console.print(table(items))
        console.print(f"[dim]gallery  {address.url('vision')}[/]")
    else:
        for number, item in enumerate(items, 1):
            typer.echo(output.words("\t".join((str(number), *_cells(item)))))


def _cells(item: StoredPicture) -> tuple[str, str, str, str, str, str]:
    """Return a picture's key, size, time, model, seed and prompt."""
    return (
        item["key"],
        f"{item.get('width', '?')}x{item.get('height', '?')}",
        str(item.get("last_modified", ""))[:19].replace("T", " "),
        str(item.get("model") or ""),
        str(item.get("seed", "")),
        " ".join(str(item.get("prompt") or "").split()),
    )


def table(items: list[StoredPicture]) -> Table:
    """Return the list for a terminal."""
    rows = []
    for number, item in enumerate(items, 1):
        key, size, _, _, _, prompt = _cells(item)
        rows.append((Text(str(number), "cyan"), Text(key, "green"), Text(size, "dim"), prompt))
    return output.columns(("#", "picture", "size", "prompt"), rows)


def select(
    context: typer.Context, choice: options.Choice, *, as_json: options.AsJson = False
) -> None:
    """Select a picture for other tools: print where it can be had.

    The numbers are those of the last images.list, for an hour, whatever was drawn since; without
    one, 1 is the newest picture. A picture's key does as well.
    """
    run(_select(options.address(context), choice, as_json=as_json), as_json=as_json)


async def _select(address: Address, choice: str, *, as_json: bool) -> None:
    async with connect(address) as images:
        key = await _key(images, choice)
        answer = await images.call("POST", "api/images/select", body={"object_key": key})
    if as_json:
        output.print_json(answer)
        return
    reference = answer["imageRef"]
    console = output.results()
    console.print(f"[green]{escape(str(reference['key']))}[/]  {escape(reference['title'])}")
    console.print(f"download  {escape(str(reference['downloadUrl']))}")
    console.print(f"storage   {escape(str(reference['storageUri']))}")


def delete(
    context: typer.Context, choice: options.Doomed, *, as_json: options.AsJson = False
) -> None:
    """Delete a picture for good: its PNG, its JSON and its thumbnail.

    A number means what the last images.list showed. The job that drew it must have ended, and no
    longer lists it.
    """
    run(_delete(options.address(context), choice, as_json=as_json), as_json=as_json)


async def _delete(address: Address, choice: str, *, as_json: bool) -> None:
    if choice.isdecimal() and not listing.recall(address.base):
        # The newest picture may be another one than was meant, and nothing brings it back.
        raise UsageError("a number is one of the last images.list; list the pictures first")
    async with connect(address) as images:
        key = await _key(images, choice)
        await images.fetch("DELETE", f"api/images/pictures/{quote(key)}")
    if as_json:
        output.print_json({"deleted": key})
    else:
        output.results().print(f"deleted {escape(key)}")


async def _key(images: Images, choice: str) -> str:
    """Return the key that an index or a key means."""
    if not choice.isdecimal():
        return choice
    base = images.address.base
    if not (keys := listing.recall(base)):
        page = await images.page("latest", limit=_USUAL)
        keys = [item["key"] for item in page["items"]]
    if not 1 <= int(choice) <= len(keys):
        there = f"the list has 1 to {len(keys)}" if keys else "there are no pictures yet"
        raise UsageError(f"no picture has the number {choice}: {there}")
    return keys[int(choice) - 1]
