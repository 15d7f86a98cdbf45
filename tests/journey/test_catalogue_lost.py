"""What is in the store can be found again, whatever became of the rest."""

import asyncio
from pathlib import Path
from typing import Any

from tests.journey.running import Service, client_of


async def three_cards(folder: Path) -> list[dict[str, Any]]:
    """Draw three pictures and end; return their jobs."""
    async with Service(folder) as service, client_of(service) as client:
        drawn = [await client.draw(f"card {n}") for n in range(3)]
        await service.end()
    return drawn


async def found_again(folder: Path, count: int) -> list[dict[str, str]]:
    """Lose the catalogue and start; return the pictures as soon as there are so many."""
    for ending in ("", "-wal", "-shm"):
        (folder / f"kitty.sqlite3{ending}").unlink(missing_ok=True)
    async with Service(folder) as service, client_of(service) as client:
        items: list[dict[str, str]] = []
        while len(items) < count:
            items = (await client.json("GET", "/api/images/latest"))[1]["items"]
    return items


async def test_a_lost_catalogue_is_rebuilt_from_the_sidecars(tmp_path: Path) -> None:
    drawn = await three_cards(tmp_path)
    items = await found_again(tmp_path, len(drawn))
    assert [item["key"] for item in items] == [j["artifacts"][0]["key"] for j in drawn[::-1]]
    assert items[0]["prompt"] == "card 2"


async def test_what_waits_in_the_spool_hides_no_loss(tmp_path: Path) -> None:
    drawn = await three_cards(tmp_path)
    for path in (tmp_path / "kitty-artifacts").glob(f"{drawn[0]['artifacts'][0]['key'][:-4]}.*"):
        waiting = tmp_path / "spool" / path.relative_to(tmp_path / "kitty-artifacts")
        waiting.parent.mkdir(exist_ok=True)
        path.rename(waiting)
    await found_again(tmp_path, len(drawn))


async def _never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def test_an_engine_that_hangs_does_not_hold_up_the_start(tmp_path: Path) -> None:
    async with await asyncio.start_server(_never_answer, "127.0.0.1", 0) as silent:
        port = silent.sockets[0].getsockname()[1]
        settings = {"A1111_BASE_URL": f"http://127.0.0.1:{port}"}
        async with Service(tmp_path, **settings) as service, client_of(service) as client:
            assert (await client.draw())["state"] == "succeeded"
