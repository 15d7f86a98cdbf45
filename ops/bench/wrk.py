"""Drives wrk, the HTTP load generator, and reads what it measured."""

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

_SCRIPT = """
wrk.method, wrk.body = "POST", os.getenv("KITTY_BODY")
wrk.headers["Content-Type"] = "application/json"
function done(summary, latency)
  io.write(string.format('RESULT {"requests": %d, "seconds": %.4f, "p50_ms": %.4f,'
    .. ' "p99_ms": %.4f, "refused": %d}\\n', summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, summary.errors.status))
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk measured; `refused` answers were not 2xx."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    refused: int

    @property
    def per_second(self) -> float:
        """Answered requests per second."""
        return self.requests / self.seconds


def installed() -> bool:
    """Say whether wrk is there (Debian package `wrk`)."""
    return shutil.which("wrk") is not None


def post(url: str, body: dict[str, object], *, clients: int, seconds: int) -> Load:
    """POST the same body over and over from one thread and so many connections."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_SCRIPT)
        script.flush()
        done = subprocess.run(
            ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "-s", script.name, url],
            env={**os.environ, "KITTY_BODY": json.dumps(body)},
            capture_output=True,
            text=True,
            check=True,
        )
    line = next(part for part in done.stdout.splitlines() if part.startswith("RESULT "))
    return Load(**json.loads(line.removeprefix("RESULT ")))


def results_folder() -> Path:
    """Return where benches leave their figures."""
    return Path(__file__).parent / "results"
