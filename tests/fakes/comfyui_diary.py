"""What happened at a fake server, so that a test can wait for it."""

import asyncio


class Diary(list[str]):
    """Everything that happened, in order."""

    def __init__(self) -> None:
        super().__init__()
        self._event = asyncio.Event()

    def note(self, what: str) -> None:
        """Write something down."""
        self.append(what)
        self._event.set()

    async def wait_for(self, what: str, *, times: int = 1) -> None:
        """Wait until something has happened so many times."""
        while self.count(what) < times:
            self._event.clear()
            await self._event.wait()
