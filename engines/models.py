"""What every engine can draw with, as it said when it was asked last."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from functools import partial

from engines.base import Engine, EngineName, ModelInfo
from engines.errors import EngineError

_log = logging.getLogger(__name__)


class Models:
    """Remembers the engines' lists of models, so that a submit never waits for an engine."""

    def __init__(self, engines: Mapping[EngineName, Engine]) -> None:
        self._engines = engines
        self._lists: dict[EngineName, Sequence[ModelInfo]] = {}
        self._errors: dict[EngineName, str] = {}
        self._looks: dict[EngineName, asyncio.Task[None]] = {}

    def __getitem__(self, engine: EngineName) -> Sequence[ModelInfo] | None:
        """Return an engine's models, None while it could not be asked."""
        return self._lists.get(engine)

    @property
    def errors(self) -> Mapping[EngineName, str]:
        """Why an engine could not be asked the last time, for those that could not."""
        return self._errors

    def sure(self, engine: EngineName) -> bool:
        """Say whether the list is what the engine said when it was asked last."""
        return engine in self._lists and engine not in self._errors

    def homes(self, model: str) -> Sequence[EngineName]:
        """Return the engines that have a usable checkpoint under that name."""
        return [
            engine
            for engine, models in self._lists.items()
            if any(m.kind == "checkpoint" and not m.error and m.answers_to(model) for m in models)
        ]

    async def refresh(self, engine: EngineName | None = None) -> None:
        """Ask one engine, or all of them at once; one that does not answer keeps its old list."""
        names = [engine] if engine else list(self._engines)
        await asyncio.gather(*(self._ask(name) for name in names))

    async def look_again(self, *, patience_seconds: float) -> None:
        """Have those that could be asked last look for files that came since.

        One that does not answer in time counts as one that could not be asked, until it does.
        Who comes while an engine is looking waits for that look.
        """
        looks = {name: self._look(name) for name in self._engines if self.sure(name)}
        if looks:
            await asyncio.wait(looks.values(), timeout=patience_seconds)
        for name, look in looks.items():
            if not look.done():
                self._errors[name] = "engine_timeout: it does not say what it has"

    def cancel(self) -> None:
        """Look for nothing any more."""
        for look in self._looks.values():
            look.cancel()

    def _look(self, name: EngineName) -> asyncio.Task[None]:
        if name not in self._looks:
            look = asyncio.create_task(self._ask(name, again=True), name=f"look again {name}")
            self._looks[name] = look
            look.add_done_callback(partial(self._looked, name))
        return self._looks[name]

    def _looked(self, name: EngineName, _: object) -> None:
        del self._looks[name]

    async def _ask(self, name: EngineName, *, again: bool = False) -> None:
        try:
            if again:
                await self._engines[name].look_again()
            self._lists[name] = await self._engines[name].models()
        except EngineError as error:
            self._errors[name] = f"{error.code}: {error}"
            _log.info("engine %s does not list its models: %s", name, error)
        except Exception as error:  # noqa: BLE001 - a bug in one engine, not in the others
            self._errors[name] = f"internal: unexpected {type(error).__name__}"
            _log.exception("engine %s hit a bug when it was asked for its models", name)
        else:
            self._errors.pop(name, None)
