"""Log lines, for people or for machines, on standard error."""

import logging
import sys
from datetime import UTC, datetime
from typing import Literal

import orjson
from typing_extensions import override


class JsonLines(logging.Formatter):
    """One JSON object a line, in the words that KITTY's log store expects."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Return `timestamp`, `level`, `event`, `logger` and a traceback if there is one."""
        line: dict[str, object] = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "logger": record.name,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line).decode()


def set_up(*, level: str, style: Literal["json", "text"]) -> None:
    """Send everything from `level` on to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonLines()
        if style == "json"
        else logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    logging.getLogger("botocore").setLevel(logging.WARNING)
