"""The drawing of one picture: the calls of its plan, one after another, each looked at closely."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass

from engines.a1111.answers import Drawn, check, read_drawn, read_enlarged
from engines.a1111.client import Client
from engines.a1111.flight import Tower
from engines.a1111.passes import EXTRAS, Call
from engines.a1111.payloads import Plan
from engines.base import Json, Picture, Progress, Shortfall
from engines.errors import BadPictureError, LostError
from engines.http import Answer
from engines.verify import verify


@dataclass(slots=True)
class Drawing:
    """The calls of one plan, one after another, until there is a picture."""

    _client: Client
    _tower: Tower
    _plan: Plan
    _tasks: Sequence[str]
    _seed: int
    _png: bytes = b""
    _size: tuple[int, int] = (0, 0)
    _drawn: Drawn | None = None
    _short: tuple[Shortfall, ...] = ()

    async def updates(self) -> AsyncGenerator[Progress]:
        """Make the calls.

        Raises:
            EngineError: one of them failed, or what came is not a picture of the spec.
        """
        done, total = 0, self._plan.steps
        yield Progress("waiting", 0, total)
        for number, call in enumerate(self._plan.calls):
            sent = call.after(self._png) if number else call
            task = self._tasks[min(number, len(self._tasks) - 1)]
            async with aclosing(self._tower.fly(sent, task, done=done, total=total)) as updates:
                async for update in updates:
                    match update:
                        case Progress():
                            yield update
                        case Answer():
                            await self._take(call, update)
            done += call.steps
            yield Progress("drawing", done, total)

    def picture(self, version: str) -> Picture:
        """Return the picture that the last call returned."""
        drawn, plan = self._drawn, self._plan
        info = drawn.info if drawn else {}
        facts: dict[str, Json] = {
            "engine_version": str(info.get("version") or version or "unknown"),
            "model": plan.checkpoint.title,
            "model_hash": str(info.get("sd_model_hash") or plan.checkpoint.shorthash),
            "vae": str(info.get("sd_vae_name") or ""),
            "sampler": " ".join(word for word in plan.method if word),
            "infotext": drawn.infotext if drawn else "",
        }
        short = (*plan.shortfalls, *self._short)
        seed = drawn.seed if drawn else self._seed
        return Picture(self._png, *self._size, seed=seed, facts=facts, shortfalls=short)

    async def _take(self, call: Call, answer: Answer) -> None:
        """Look closely at what a call returned."""
        if call.path == EXTRAS:
            data = read_enlarged(answer)
        else:
            self._drawn = drawn = read_drawn(answer)
            self._short = check(drawn, self._plan, seed=self._seed)
            await self._whole(drawn)
            data = drawn.picture
        width, height = self._size = call.size
        self._png = await asyncio.to_thread(verify, data, width=width, height=height)

    async def _whole(self, drawn: Drawn) -> None:
        """Make sure that nobody stopped the drawing: the server returns it half done all the same.

        Raises:
            BadPictureError: somebody did, on the web page or through the API.
        """
        with suppress(LostError):  # it died with the answer under way: nothing can be learnt
            state = await self._client.state()
            same = state.started == str(drawn.info.get("job_timestamp"))
            if same and state.interrupted and not state.busy:
                raise BadPictureError("somebody interrupted the drawing on the server")
