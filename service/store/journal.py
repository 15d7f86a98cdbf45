"""The durable record of jobs, in SQLite; implements `scheduler.ports.Journal`."""

import logging
import sqlite3
from asyncio import Future
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from functools import partial

from pydantic import ValidationError

from engines.base import EngineName
from scheduler.errors import JobNotFoundError
from scheduler.job import JOB_JSON, STATUS_JSON, Job, JobId, Running, Status
from service.store.database import Database

SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
  number          INTEGER PRIMARY KEY,
  id              TEXT NOT NULL UNIQUE,
  client          TEXT NOT NULL,
  idempotency_key TEXT NOT NULL,
  engine          TEXT NOT NULL,
  state           TEXT NOT NULL,
  attempts        INTEGER NOT NULL,
  crashes         INTEGER NOT NULL,
  request         BLOB NOT NULL,
  status          BLOB NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS jobs_once ON jobs (client, idempotency_key)
  WHERE idempotency_key != '';
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, number);
CREATE TABLE IF NOT EXISTS switches (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""

_COLUMNS = "request, status, engine, attempts, crashes"
_PORTION = 64
_Row = tuple[bytes, bytes, str, int, int]
_NumberedRow = tuple[bytes, bytes, str, int, int, int]

_log = logging.getLogger(__name__)


def _status_json(status: Status) -> bytes:
    """Encode a status; how far the drawing is changes too often to be recorded."""
    return STATUS_JSON.dump_json(
        status, exclude={"progress", "done"} if isinstance(status, Running) else None
    )


def _job(row: _Row) -> Job:
    """Decode a row."""
    request, status, engine, attempts, crashes = row
    # One reading of both documents, since a restart may have a hundred thousand rows to decode.
    job = JOB_JSON.validate_json(request[:-1] + b',"status":' + status + b"}")
    if (job.engine, job.attempts, job.crashes) == (engine, attempts, crashes):
        return job
    return replace(job, engine=EngineName(engine), attempts=attempts, crashes=crashes)


def _readable(rows: Sequence[_NumberedRow]) -> Iterator[Job]:
    """Decode rows; one that is damaged costs no other its job."""
    for row in rows:
        try:
            yield _job(row[:-1])
        except ValidationError:
            _log.exception("job number %d cannot be read", row[-1])


def _keyed(connection: sqlite3.Connection, client: str, key: str) -> Job | None:
    """Find the job that a client's idempotency key made."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM jobs WHERE client=? AND idempotency_key=? AND idempotency_key!=''",  # noqa: S608
        (client, key),
    ).fetchone()
    return _job(row) if row else None


def _values(job: Job) -> tuple[object, ...]:
    """Return a job as a row."""
    request, status = JOB_JSON.dump_json(job, exclude={"status"}), _status_json(job.status)
    return (
        job.number, job.id, job.client, job.idempotency_key, job.engine,
        job.status.kind, job.attempts, job.crashes, request, status,
    )  # fmt: skip


def _add_once(job: Job, connection: sqlite3.Connection) -> Job:
    """Insert a job, unless the same client's key already made one; return the one that is there."""
    added = connection.execute(
        "INSERT INTO jobs VALUES (?,?,?,?,?,?,?,?,?,?)"
        " ON CONFLICT (client, idempotency_key) WHERE idempotency_key != '' DO NOTHING",
        _values(job),
    )
    return job if added.rowcount else _keyed(connection, job.client, job.idempotency_key) or job


class Journal:
    """Jobs as rows: what was asked never changes, where it stands does."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, job: Job) -> Job:
        """Record a new job, or find the one that the same client's key already made."""
        if job.idempotency_key:
            return await self._database.write(partial(_add_once, job), atomic=True)
        await self._database.insert("jobs", _values(job))
        return job

    def keyed(self, client: str, key: str) -> Future[Job | None]:
        """Return the job that a client's key made, None without one.

        Asked of the writer, so that a job which is being added is seen.
        """
        return self._database.write(lambda connection: _keyed(connection, client, key))

    def update(self, job: Job) -> Future[None]:
        """Record where a job stands now."""
        status = _status_json(job.status)

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE jobs SET state=?, status=?, engine=?, attempts=?, crashes=? WHERE number=?",
                (job.status.kind, status, job.engine, job.attempts, job.crashes, job.number),
            )

        return self._database.write(work, atomic=True)

    async def get(self, job_id: JobId) -> Job:
        """Return a job, or raise `JobNotFoundError`."""

        def work(connection: sqlite3.Connection) -> _Row | None:
            row: _Row | None = connection.execute(
                f"SELECT {_COLUMNS} FROM jobs WHERE id=?",  # noqa: S608
                (job_id,),
            ).fetchone()
            return row

        row = await self._database.read(work)
        if row is None:
            raise JobNotFoundError(f"there is no job {job_id}")
        return _job(row)

    async def page(
        self, *, limit: int, before: int | None = None, states: Sequence[str] = ()
    ) -> Sequence[Job]:
        """Return `limit` jobs if there are as many, newest first, older than number `before`.

        A row that cannot be read is left out, and in the log.
        """
        marks = f" AND state IN ({','.join('?' * len(states))})" if states else ""
        query = (
            f"SELECT {_COLUMNS}, number FROM jobs WHERE number < ?{marks}"  # noqa: S608
            " ORDER BY number DESC LIMIT ?"
        )
        jobs: list[Job] = []
        last = before if before is not None else 2**62
        while wanted := limit - len(jobs):

            def work(
                connection: sqlite3.Connection, under: int = last, most: int = wanted
            ) -> list[_NumberedRow]:
                return connection.execute(query, (under, *states, most)).fetchall()

            rows = await self._database.read(work)
            jobs += _readable(rows)
            if len(rows) < wanted:
                break
            last = rows[-1][-1]
        return jobs

    async def unfinished(self, state: str, *, until: int) -> AsyncIterator[Sequence[Job]]:
        """Yield the jobs in a state up to number `until`, oldest first, in small portions.

        A row that cannot be read stays where it is, and in the log.
        """
        last = -1
        while True:

            def work(connection: sqlite3.Connection, after: int = last) -> list[_NumberedRow]:
                return connection.execute(
                    f"SELECT {_COLUMNS}, number FROM jobs"  # noqa: S608
                    " WHERE state=? AND number > ? AND number <= ? ORDER BY number LIMIT ?",
                    (state, after, until, _PORTION),
                ).fetchall()

            rows = await self._database.read(work)
            if not rows:
                return
            last = rows[-1][-1]
            yield tuple(_readable(rows))

    async def counts(self) -> dict[str, int]:
        """Return how many jobs are in each state."""

        def work(connection: sqlite3.Connection) -> dict[str, int]:
            return dict(
                connection.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall()
            )

        return await self._database.read(work)

    async def last_number(self) -> int:
        """Return the highest number given to a job, 0 when there is none."""

        def work(connection: sqlite3.Connection) -> int:
            number: int | None = connection.execute("SELECT max(number) FROM jobs").fetchone()[0]
            return number or 0

        return await self._database.read(work)

    async def paused(self) -> bool:
        """Say whether the queue is to stand still."""

        def work(connection: sqlite3.Connection) -> bool:
            query = "SELECT value FROM switches WHERE name='paused'"
            return bool((connection.execute(query).fetchone() or [0])[0])

        return await self._database.read(work)

    def pause(self, paused: bool) -> Future[None]:
        """Record whether the queue is to stand still."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO switches VALUES ('paused', ?)", (paused,))

        return self._database.write(work, atomic=True)
