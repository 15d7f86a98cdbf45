"""Measure the catalogue with a million made-up pictures: table on the terminal, JSON beside it.

    python ops/bench/catalogue.py [--pictures 1000000] [--queries 300] [--json FILE] [--keep FILE]

Every query returns a page of 36. "stall" is how late the event loop was at the worst while the
queries ran: what any other request would have had to wait.
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from engines.spec import GenerationSpec
from service.store.catalogue import Catalogue
from service.store.database import Database
from service.store.rows import SCHEMA, place_of
from service.store.sidecar import Sidecar

PAGE, PORTION, APART_SECONDS, FIRST = 36, 2000, 7, datetime(2024, 1, 1, tzinfo=UTC)
COMMON = {"portrait": 0.3, "cat": 0.1, "forest": 0.05}
MODELS = ["sdxl_base", "sd15_base", "flux", "mini", "juggernaut", "dreamshaper", "pony", "anime"]
SPEC = GenerationSpec("", "", 512, 512, 30, 7.0, 0, "euler", negative_prompt="blurry, low quality")
SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]
CASES: dict[str, dict[str, str]] = {
    "newest": {},
    "model": {"model": "mini"},
    "rare tag": {"tag": "tag-499"},
    "common word": {"q": "portrait"},
    "beginning of a word": {"q": "portr"},
    "one letter": {"q": "p"},
    "rare word": {"q": "zuzuzazo"},
    "three words": {"q": "portrait cat forest"},
    "common and rare word": {"q": "portrait zuzuzazo"},
    "word, model and tag": {"q": "forest", "model": "flux", "tag": "tag-3"},
    "two common words never together": {"q": "sunrise sunset"},
    "no match": {"q": "portrait nowhereatall"},
}


@dataclass(frozen=True, slots=True)
class Result:
    """Milliseconds of one kind of query."""

    case: str
    found: int
    p50_ms: float
    p99_ms: float
    stall_ms: float


class Maker:
    """Makes pictures up; words are spread as in a language, and a few are everywhere."""

    def __init__(self) -> None:
        self._random = random.Random(7)  # noqa: S311 - the same pictures every time
        self._words = ["".join(self._random.choices(SYLLABLES, k=4)) for _ in range(20_000)]
        self._weights = list(accumulate(1 / (rank + 10) for rank in range(20_000)))

    def portion(self, first: int, count: int) -> list[Sidecar]:
        """Return pictures `first` to `first + count`."""
        return [self._picture(number) for number in range(first, first + count)]

    def _picture(self, number: int) -> Sidecar:
        """Return one picture."""
        draw = self._random
        words = draw.choices(self._words, cum_weights=self._weights, k=12)
        words += [word for word, share in COMMON.items() if share > draw.random()]
        words.append("sunrise" if number % 2 else "sunset")
        words += ["zuzuzazo"] if number % 10_000 == 0 else []
        stem = f"images/{number:08d}_000000_{number:08x}"
        return Sidecar(
            job_id=f"job-{number}",
            index=0,
            created=FIRST + timedelta(seconds=APART_SECONDS * number),
            engine="fake",
            spec=replace(SPEC, prompt=" ".join(words), model=draw.choice(MODELS)),
            seed=number,
            width=512,
            height=512,
            tags=(f"tag-{int(500 * draw.random() ** 3)}",),
            key=f"{stem}.png",
            meta_key=f"{stem}.json",
            size_bytes=400_000,
            sha256=f"{number:064x}",
        )


async def fill(catalogue: Catalogue, count: int) -> float:
    """Enter the pictures; return pictures per second of entering alone."""
    maker, seconds = Maker(), 0.0
    for first in range(0, count, PORTION):
        made = maker.portion(first, min(PORTION, count - first))
        began = time.perf_counter()
        await catalogue.add_all(made)
        seconds += time.perf_counter() - began
    return count / seconds


async def lateness(worst: list[float]) -> None:
    """Note how late the event loop is, every millisecond."""
    while True:
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        worst[0] = max(worst[0], time.perf_counter() - before - 0.001)


async def measure(
    catalogue: Catalogue, case: str, asked: dict[str, str], queries: int, cursor: str | None
) -> Result:
    """Ask the same page many times."""
    worst, times, found = [0.0], [], 0
    watch = asyncio.create_task(lateness(worst))
    for _ in range(queries):
        began = time.perf_counter()
        found = len((await catalogue.latest(limit=PAGE, cursor=cursor, **asked)).items)
        times.append(time.perf_counter() - began)
    watch.cancel()
    return result(case, found, times, worst[0])


async def measure_entering(catalogue: Catalogue, count: int, repeats: int) -> Result:
    """Enter pictures one at a time, as jobs do, and take them out again."""
    made, times = Maker().portion(count, repeats), []
    for sidecar in made:
        began = time.perf_counter()
        await catalogue.add(sidecar)
        times.append(time.perf_counter() - began)
    await catalogue.remove([sidecar.key for sidecar in made])
    return result("(enter one picture)", 1, times, 0.0)


def result(case: str, found: int, times: list[float], stall: float) -> Result:
    """Sum up one kind of call."""
    times.sort()
    p99 = times[max(0, int(0.99 * len(times)) - 1)]
    return Result(case, found, 1e3 * statistics.median(times), 1e3 * p99, 1e3 * stall)


async def bench(path: Path, count: int, queries: int) -> list[Result]:
    """Fill the catalogue if it is not full yet, then ask it each kind of question."""
    database = Database(path)
    await database.open(schema=SCHEMA)
    catalogue = Catalogue(database)
    if await catalogue.count() != count:
        print(f"{await fill(catalogue, count):,.0f} pictures entered per second")
    half = f"{place_of(FIRST + timedelta(seconds=APART_SECONDS * (count // 2)), 0):x}"
    results = []
    for case, asked in CASES.items():
        results.append(await measure(catalogue, case, asked, queries, None))
        results.append(await measure(catalogue, f"{case}, half-way down", asked, queries, half))
    results.append(await measure_entering(catalogue, count, queries))
    await database.aclose()
    return results


def main() -> None:
    """Run the bench from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", type=Path, help="database file to make or use again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.keep or Path(folder) / "catalogue.db"
        results = asyncio.run(bench(path, options.pictures, options.queries))
        size = path.stat().st_size
    print(f"{options.pictures:,} pictures, {size / 1e6:,.0f} MB\n")
    print(f"{'query':<48}{'found':>6}{'p50 ms':>9}{'p99 ms':>9}{'stall ms':>10}")
    for r in results:
        print(f"{r.case:<48}{r.found:>6}{r.p50_ms:>9.2f}{r.p99_ms:>9.2f}{r.stall_ms:>10.2f}")
    if options.json:
        rows = [{f: getattr(r, f) for f in Result.__slots__} for r in results]
        document = {"pictures": options.pictures, "bytes": size, "results": rows}
        options.json.write_text(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
