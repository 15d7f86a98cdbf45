"""Events as JSON, encoded once for all who listen."""

import orjson

from scheduler.events import JobEvent
from service.wire import Words, job_view

_FRAMES_KEPT = 512


class Frames:
    """Encodes each event once, however many listen."""

    def __init__(self, words: Words) -> None:
        self._words = words
        self._encoded: dict[int, bytes] = {}

    def of(self, event: JobEvent) -> bytes:
        """Return the event as JSON."""
        frame = self._encoded.get(event.number)
        if frame is None:
            frame = orjson.dumps(
                {
                    "type": "job",
                    "event": event.number,
                    "kind": event.kind,
                    "at": event.at,
                    "job": job_view(event.job, self._words),
                }
            )
            self._encoded[event.number] = frame
            if len(self._encoded) > _FRAMES_KEPT:
                del self._encoded[next(iter(self._encoded))]
        return frame
