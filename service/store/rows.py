"""How a picture lies in the tables of the catalogue."""

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import orjson
from pydantic import TypeAdapter

from engines.base import Shortfall
from scheduler.job import Artifact
from service.store.sidecar import Sidecar
from service.store.words import mark, words_of

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS pictures (
  id         INTEGER PRIMARY KEY,
  key        TEXT NOT NULL UNIQUE,
  meta_key   TEXT NOT NULL,
  job_id     TEXT NOT NULL,
  number     INTEGER NOT NULL,
  engine     TEXT NOT NULL,
  model      TEXT NOT NULL,
  prompt     TEXT NOT NULL,
  negative   TEXT NOT NULL,
  tags       BLOB NOT NULL,
  seed       INTEGER NOT NULL,
  width      INTEGER NOT NULL,
  height     INTEGER NOT NULL,
  size_bytes INTEGER NOT NULL,
  sha256     TEXT NOT NULL,
  warnings   BLOB NOT NULL
);
CREATE VIRTUAL TABLE IF NOT EXISTS picture_words
  USING fts5 (words, tokenize='ascii', prefix='1 2 3', detail=none, columnsize=0);
CREATE TABLE IF NOT EXISTS vocabulary (word TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS picture_count (total INTEGER NOT NULL);
INSERT INTO picture_count SELECT (SELECT count(*) FROM pictures)
  WHERE NOT EXISTS (SELECT 1 FROM picture_count);
CREATE TRIGGER IF NOT EXISTS picture_added AFTER INSERT ON pictures
  BEGIN UPDATE picture_count SET total = total + 1; END;
CREATE TRIGGER IF NOT EXISTS picture_removed AFTER DELETE ON pictures
  BEGIN UPDATE picture_count SET total = total - 1; END;
CREATE TABLE IF NOT EXISTS removed (key TEXT PRIMARY KEY, stage INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS removed_lately ON removed (stage) WHERE stage < 2;
UPDATE removed SET stage = 2 WHERE stage = 1;
"""

COLUMNS: Final = (
    "id, key, meta_key, job_id, number, engine, model, prompt, negative, tags,"
    " seed, width, height, size_bytes, sha256, warnings"
)
_EPOCH: Final = datetime(2020, 1, 1, tzinfo=UTC)
_PLACES: Final = 4096
"""Places for pictures in each microsecond: the ids grow with time and are places in the order."""

_WARNINGS_JSON: TypeAdapter[tuple[Shortfall, ...]] = TypeAdapter(tuple[Shortfall, ...])

Row = tuple[
    int, str, str, str, int, str, str, str, str, bytes, int, int, int, int, str, bytes
]  # as COLUMNS


@dataclass(frozen=True, slots=True)
class Entry:
    """A stored picture as lists show it."""

    artifact: Artifact
    job_id: str
    created: datetime
    engine: str
    model: str
    prompt: str
    negative_prompt: str
    tags: tuple[str, ...]


def add_row(connection: sqlite3.Connection, sidecar: Sidecar) -> None:
    """Replace the row of one picture."""
    remove_row(connection, sidecar.key)
    spec, tags = sidecar.spec, sidecar.tags
    words = set(words_of(" ".join((spec.prompt, spec.negative_prompt, spec.model, *tags))))
    place = _free_place(connection, sidecar)
    connection.execute(
        f"INSERT INTO pictures ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",  # noqa: S608
        (
            place, sidecar.key, sidecar.meta_key, sidecar.job_id, sidecar.index, sidecar.engine,
            spec.model, spec.prompt, spec.negative_prompt, orjson.dumps(tags), sidecar.seed,
            sidecar.width, sidecar.height, sidecar.size_bytes, sidecar.sha256,
            _WARNINGS_JSON.dump_json(sidecar.warnings),
        ),
    )  # fmt: skip
    marks = {mark("m", spec.model), *(mark("t", tag) for tag in tags)}
    connection.execute(
        "INSERT INTO picture_words (rowid, words) VALUES (?, ?)",
        (place, " ".join(sorted(words | marks))),
    )
    connection.executemany(
        "INSERT OR IGNORE INTO vocabulary VALUES (?)", [(word,) for word in words]
    )


def remove_row(connection: sqlite3.Connection, key: str) -> None:
    """Delete the row of one picture if there is one."""
    row = connection.execute("SELECT id FROM pictures WHERE key = ?", (key,)).fetchone()
    if row is not None:
        connection.execute("DELETE FROM picture_words WHERE rowid = ?", row)
        connection.execute("DELETE FROM pictures WHERE id = ?", row)


def place_of(created: datetime, index: int) -> int:
    """Return where a picture stands in the order of all pictures."""
    return (created - _EPOCH) // timedelta(microseconds=1) * _PLACES + index % _PLACES


def _free_place(connection: sqlite3.Connection, sidecar: Sidecar) -> int:
    """Return the picture's place in the order, the next free one if another has it."""
    place = place_of(sidecar.created, sidecar.index)
    while connection.execute("SELECT 1 FROM pictures WHERE id = ?", (place,)).fetchone():
        place += 1
    return place


def entry_of(row: Row) -> Entry:
    """Decode a row."""
    (place, key, meta_key, job_id, number, engine, model, prompt, negative, tags,
     seed, width, height, size_bytes, sha256, warnings) = row  # fmt: skip
    shortfalls = _WARNINGS_JSON.validate_json(warnings)
    artifact = Artifact(key, meta_key, number, seed, width, height, size_bytes, sha256, shortfalls)
    return Entry(
        artifact=artifact,
        job_id=job_id,
        created=_EPOCH + timedelta(microseconds=place // _PLACES),
        engine=engine,
        model=model,
        prompt=prompt,
        negative_prompt=negative,
        tags=tuple(orjson.loads(tags)),
    )
