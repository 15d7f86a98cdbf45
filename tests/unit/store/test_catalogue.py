import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.spec import GenerationSpec
from scheduler.errors import StoreError
from service.store.catalogue import Catalogue, _matching, _newest
from service.store.database import Database
from service.store.rows import SCHEMA
from service.store.sidecar import Sidecar
from service.store.words import mark, match

SPEC = GenerationSpec("", "mini", 8, 8, 1, 1.0, 0, "euler")
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def sidecar(
    number: int,
    prompt: str = "a cat",
    *,
    index: int = 0,
    at: datetime = AT,
    model: str = "mini",
    tags: tuple[str, ...] = (),
    negative: str = "",
) -> Sidecar:
    stem = f"images/20260102_030405_{number:08x}"
    spec = replace(SPEC, prompt=prompt, model=model, negative_prompt=negative)
    return Sidecar(
        job_id=f"job-{number}", index=index, created=at, engine="fake", spec=spec, seed=number,
        width=8, height=8, tags=tags, key=f"{stem}.png", meta_key=f"{stem}.json",
        size_bytes=number, sha256="ab",
    )  # fmt: skip


@pytest.fixture
async def catalogue(tmp_path: Path) -> AsyncIterator[Catalogue]:
    database = Database(tmp_path / "kitty.db")
    await database.open(schema=SCHEMA)
    yield Catalogue(database)
    await database.aclose()


async def found(catalogue: Catalogue, **asked: str) -> list[int]:
    page = await catalogue.latest(limit=100, **asked)
    return [entry.artifact.seed for entry in page.items]


async def walk(catalogue: Catalogue, limit: int, **asked: str) -> list[int]:
    seeds, cursor = [], None
    while True:
        page = await catalogue.latest(limit=limit, cursor=cursor, **asked)
        seeds += [entry.artifact.seed for entry in page.items]
        if page.next_cursor is None:
            return seeds
        assert len(page.items) == limit
        cursor = page.next_cursor


async def test_an_entry_is_all_of_its_sidecar(catalogue: Catalogue) -> None:
    made = sidecar(
        7, "ein Kätzchen", tags=("a, b", "ä"), negative="dogs", at=AT + timedelta(microseconds=3)
    )
    await catalogue.add(made)
    entry = await catalogue.get(made.key)
    assert entry is not None
    assert (entry.artifact, entry.job_id, entry.created) == (made.artifact, "job-7", made.created)
    assert (entry.prompt, entry.negative_prompt) == ("ein Kätzchen", "dogs")
    assert (entry.model, entry.engine, entry.tags) == ("mini", "fake", ("a, b", "ä"))
    assert await catalogue.get("images/other.png") is None


async def test_the_newest_come_first_whatever_the_order_of_entering(catalogue: Catalogue) -> None:
    for number in (3, 1, 4, 0, 2):
        await catalogue.add(sidecar(number, at=AT + timedelta(microseconds=number)))
    assert await found(catalogue) == [4, 3, 2, 1, 0]


async def test_a_page_is_exactly_as_long_as_asked(catalogue: Catalogue) -> None:
    await catalogue.add_all([sidecar(n, at=AT + timedelta(seconds=n)) for n in range(10)])
    for limit in (1, 3, 5, 9, 10, 11):
        assert await walk(catalogue, limit) == list(range(9, -1, -1))
        assert await walk(catalogue, limit, q="ca") == list(range(9, -1, -1))


async def test_pictures_of_one_instant_are_all_kept_in_a_stable_order(catalogue: Catalogue) -> None:
    await catalogue.add_all([sidecar(n, index=n % 3) for n in range(30)])
    order = await walk(catalogue, 7)
    assert sorted(order) == list(range(30))
    assert await walk(catalogue, 4) == order


async def test_new_pictures_do_not_disturb_the_pages_that_follow(catalogue: Catalogue) -> None:
    await catalogue.add_all([sidecar(n, at=AT + timedelta(seconds=n)) for n in range(10)])
    first = await catalogue.latest(limit=4)
    await catalogue.add(sidecar(99, at=AT + timedelta(hours=1)))
    second = await catalogue.latest(limit=4, cursor=first.next_cursor)
    assert [e.artifact.seed for e in second.items] == [5, 4, 3, 2]


async def test_a_repeat_replaces_its_entry(catalogue: Catalogue) -> None:
    await catalogue.add(sidecar(1, "a cat", tags=("old",)))
    await catalogue.add(sidecar(1, "a dog"))
    assert await catalogue.count() == 1
    assert await found(catalogue, q="dog") == [1]
    assert await found(catalogue, q="cat") == await found(catalogue, tag="old") == []


async def test_what_is_removed_is_found_no_more(catalogue: Catalogue) -> None:
    await catalogue.add_all([sidecar(1), sidecar(2)])
    await catalogue.remove([sidecar(1).key, "images/unknown.png"])
    assert (await found(catalogue), await found(catalogue, q="cat")) == ([2], [2])
    assert await catalogue.count() == 1


async def test_search(catalogue: Catalogue) -> None:
    await catalogue.add_all([
        sidecar(1, "A portrait of a Kätzchen", tags=("Pets", "draft"), model="sdxl_base"),
        sidecar(2, "a port at night", negative="blurry", model="sdxl"),
        sidecar(3, "portable stove, 猫", tags=("pets",), model="mini"),
    ])  # fmt: skip
    for asked, seeds in (
        ({"q": "PORT"}, {1, 2, 3}), ({"q": "portr"}, {1}), ({"q": "port night"}, {2}),
        ({"q": "night port"}, {2}), ({"q": "por night"}, set()), ({"q": "katz"}, {1}),
        ({"q": "猫"}, {3}), ({"q": "blur"}, {2}), ({"q": "draft"}, {1}), ({"q": "sdxl"}, {1, 2}),
        ({"tag": "pets"}, {3}), ({"tag": "Pets"}, {1}), ({"tag": "pet"}, set()),
        ({"model": "sdxl"}, {2}), ({"model": "sdxl", "q": "portrait"}, set()),
        ({"model": "sdxl_base", "tag": "draft", "q": "kätz"}, {1}),
        ({"q": "   "}, {1, 2, 3}), ({"q": "!?"}, set()),
    ):  # fmt: skip
        assert set(await found(catalogue, **asked)) == seeds, asked


async def test_a_beginning_with_more_endings_than_are_listed_still_finds_all(
    catalogue: Catalogue,
) -> None:
    await catalogue.add_all([sidecar(n, f"long{n:04d}") for n in range(90)])
    assert len(await found(catalogue, q="long")) == 90
    assert await found(catalogue, q="long001") == sorted(range(10, 20), reverse=True)


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(q=st.text(max_size=30), model=st.text(max_size=5), tag=st.text(max_size=5))
async def test_no_text_is_a_syntax_error(
    catalogue: Catalogue, q: str, model: str, tag: str
) -> None:
    await catalogue.latest(limit=3, q=q, model=model, tag=tag)


@pytest.mark.parametrize(
    "q",
    [
        '"',
        "'",
        "a OR",
        "NEAR(a b)",
        "a*",
        "-a",
        "^a",
        "words:a",
        "(",
        "a\0b",
        "a" * 9999,
        "a " * 999,
    ],
)
async def test_query_language_is_just_words(catalogue: Catalogue, q: str) -> None:
    await catalogue.add(sidecar(1))
    await catalogue.latest(limit=3, q=q)
    await catalogue.latest(limit=3, tag=q, model=q)


@pytest.mark.parametrize("cursor", ["", "x", "1;drop table pictures", "0x", "9" * 5000])
async def test_a_cursor_of_others_is_refused_or_harmless(catalogue: Catalogue, cursor: str) -> None:
    await catalogue.add(sidecar(1))
    try:
        page = await catalogue.latest(limit=3, cursor=cursor)
    except StoreError:
        return
    assert len(page.items) <= 1


async def test_the_count_survives_a_second_opening(tmp_path: Path) -> None:
    for expected in (1, 2):
        database = Database(tmp_path / "kitty.db")
        await database.open(schema=SCHEMA)
        await Catalogue(database).add(sidecar(expected))
        assert await Catalogue(database).count() == expected
        rows = await database.read(lambda c: c.execute("SELECT * FROM picture_count").fetchall())
        assert rows == [(expected,)]
        await database.aclose()


def test_no_query_sorts_or_scans() -> None:
    plans: list[str] = []

    class Spy(sqlite3.Connection):
        def execute(self, query: str, *values: object) -> sqlite3.Cursor:  # type: ignore[override]
            if query.startswith("SELECT"):
                rows = super().execute(f"EXPLAIN QUERY PLAN {query}", *values)  # type: ignore[arg-type]
                plans.extend(row[3] for row in rows)
            return super().execute(query, *values)  # type: ignore[arg-type]

    connection = sqlite3.connect(":memory:", factory=Spy)
    connection.executescript(SCHEMA)
    _newest(connection, 5, 3)
    _matching(connection, match(["a", "b"], ["b", "c"], [mark("t", "x")]), 5, 3)
    connection.close()
    assert len(plans) >= 3
    assert not [plan for plan in plans if "TEMP B-TREE" in plan or plan.startswith("SCAN pictures")]
