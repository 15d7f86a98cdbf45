"""The calls of the web UI's API, one method each."""

import asyncio
import math
from typing import Any, Final

from engines.a1111.answers import failure
from engines.a1111.looks import State, Task, read_state, read_task
from engines.a1111.stock import Stock, read_aliases, read_checkpoints, read_loras, rows
from engines.errors import EngineProtocolError
from engines.http import Answer, Server

_NOT_THERE: Final = 404
_MODEL_SECONDS: Final = 600.0
"""For a model to be moved, or read from a slow disk first."""


class Client:
    """Speaks to one server; knows its dialect, decides nothing."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def draw(self, path: str, body: object) -> Answer:
        """Send a drawing; the server answers when it is done, however long that takes.

        Raises:
            LostError: as `engines.http.Server.send`.
        """
        return await self._server.send("POST", path, json=body, answer_seconds=math.inf)

    async def task(self, task: str, *, preview_id: int | None = None) -> Task:
        """Ask how far a drawing of ours is, with a newer preview than `preview_id` if there is one.

        Raises:
            LostError: the server could not be asked.
        """
        body = {
            "id_task": task,
            "id_live_preview": -1 if preview_id is None else preview_id,
            "live_preview": preview_id is not None,
        }
        return read_task(await self._post("/internal/progress", body))

    async def state(self) -> State:
        """Ask what the server does now, for whomever.

        Raises:
            LostError: the server could not be asked.
        """
        query = {"skip_current_image": "true"}
        answer = await self._server.send("GET", "/sdapi/v1/progress", query=query)
        if not answer.ok:
            raise failure(answer)
        return read_state(answer.json())

    async def interrupt(self) -> None:
        """Stop whatever runs, whoever asked for it.

        Raises:
            LostError: the server could not be told.
        """
        await self._post("/sdapi/v1/interrupt")

    async def unload(self) -> None:
        """Take the model off the GPU; breaks a drawing that is under way.

        Raises:
            EngineError: the server could not.
        """
        await self._post("/sdapi/v1/unload-checkpoint", answer_seconds=_MODEL_SECONDS)

    async def reload(self) -> None:
        """Put the model back on the GPU, which nothing else does after `unload`.

        Raises:
            EngineError: the server could not.
        """
        await self._post("/sdapi/v1/reload-checkpoint", answer_seconds=_MODEL_SECONDS)

    async def refresh(self) -> None:
        """Have the server look for new files; waits for what it draws.

        Raises:
            LostError: the server could not be asked.
        """
        await self._post("/sdapi/v1/refresh-checkpoints")
        await self._server.send("POST", "/sdapi/v1/refresh-loras")

    async def version(self) -> str:
        """Return the server's version, empty where only its pictures tell it (`--nowebui`).

        Raises:
            LostError: the server could not be asked.
        """
        about = await self._maybe("/internal/sysinfo")
        return str(about.get("Version") or "") if isinstance(about, dict) else ""

    async def stock(self) -> Stock:
        """Read everything that the server can name.

        Raises:
            EngineError: the server could not be asked.
        """
        ping, samplers, schedulers, checkpoints, loras, options = await asyncio.gather(
            self._maybe("/internal/ping"),
            self._get("/sdapi/v1/samplers"),
            self._maybe("/sdapi/v1/schedulers"),
            self._get("/sdapi/v1/sd-models"),
            self._maybe("/sdapi/v1/loras"),
            self._get("/sdapi/v1/options"),
        )
        if not isinstance(options, dict):
            raise EngineProtocolError(f"the options have another shape: {str(options)[:200]}")
        modules = await self._maybe("/controlnet/module_list")
        latent = await self._maybe("/sdapi/v1/latent-upscale-modes")
        return Stock(
            checkpoints=read_checkpoints(checkpoints),
            samplers=read_aliases(samplers, key="name"),
            schedulers=read_aliases(schedulers or [], key="label"),
            upscalers=_names(await self._get("/sdapi/v1/upscalers"), "name"),
            latent_modes=("Latent",) if latent is None else _names(latent, "name"),
            options=frozenset(options),
            loras=None if loras is None else read_loras(loras),
            controlnets=await self._controlnets(),
            control_blank=_blank(modules),
            vaes=await self._vaes(),
            loaded=str(options.get("sd_model_checkpoint") or ""),
            tasks=ping is not None,
        )

    async def _controlnets(self) -> tuple[str, ...]:
        listing = await self._maybe("/controlnet/model_list")
        names = listing.get("model_list", ()) if isinstance(listing, dict) else ()
        return tuple(str(name) for name in names if str(name).casefold() != "none")

    async def _vaes(self) -> tuple[str, ...]:
        """List the VAEs; Forge keeps them among its modules."""
        vaes = await self._maybe("/sdapi/v1/sd-vae")
        vaes = await self._maybe("/sdapi/v1/sd-modules") if vaes is None else vaes
        return _names(vaes or [], "model_name")

    async def _get(self, path: str) -> Any:  # noqa: ANN401 -- JSON as it came
        answer = await self._server.send("GET", path)
        if not answer.ok:
            raise failure(answer)
        return answer.json()

    async def _maybe(self, path: str) -> Any:  # noqa: ANN401 -- JSON as it came
        """Get what not every server has; None when this one has not."""
        answer = await self._server.send("GET", path)
        if answer.status == _NOT_THERE:
            return None
        if not answer.ok:
            raise failure(answer)
        return answer.json()

    async def _post(
        self, path: str, body: object = None, *, answer_seconds: float | None = None
    ) -> Any:  # noqa: ANN401 -- JSON as it came
        answer = await self._server.send("POST", path, json=body, answer_seconds=answer_seconds)
        if not answer.ok:
            raise failure(answer)
        return answer.json() if answer.body else None


def _names(listing: Any, key: str) -> tuple[str, ...]:  # noqa: ANN401 -- JSON as it came
    return tuple(str(row[key]) for row in rows(listing, key, key))


def _blank(modules: Any) -> str:  # noqa: ANN401 -- JSON as it came
    """Return what the ControlNet extension calls "no preprocessor": `none`, in Forge `None`."""
    names = modules.get("module_list", ()) if isinstance(modules, dict) else ()
    return next((str(name) for name in names if str(name).casefold() == "none"), "none")
