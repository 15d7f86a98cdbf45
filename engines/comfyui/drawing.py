"""One picture on a ComfyUI server, from the spec to the verified bytes."""

import asyncio
import io
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from PIL import Image

from engines.base import Picture, Progress, Shortfall, Turn
from engines.comfyui.client import Client
from engines.comfyui.graph import build
from engines.comfyui.prompt import Prompt, Timing
from engines.comfyui.records import Drawn, Failed, File, Gone, Interrupted
from engines.comfyui.resolver import Resolver
from engines.comfyui.shelf import Shelf
from engines.comfyui.sketch import Graph, class_of
from engines.comfyui.ticket import Ticket, new_prompt_id, read_ticket
from engines.comfyui.wording import worded
from engines.errors import BadPictureError, EngineDownError, EngineTimeoutError
from engines.http import AnswerLostError
from engines.outlast import outlast
from engines.spec import GenerationSpec, Tiling
from engines.verify import verify

_FETCHES: Final = 3


class Drawing:
    """Draws one picture; made anew for each."""

    def __init__(
        self,
        *,
        spec: GenerationSpec,
        turn: Turn,
        client: Client,
        resolver: Resolver,
        shelf: Shelf,
        timing: Timing,
    ) -> None:
        self._spec = spec
        self._turn = turn
        self._client = client
        self._resolver = resolver
        self._shelf = shelf
        self._timing = timing

    async def run(self) -> AsyncGenerator[Progress | Picture]:
        """Draw, or collect what an earlier attempt has sent; closing stops the server's work.

        When the server is gone the prompt is left to itself: it may live on, and the turn's
        ticket finds it again. Whatever else ends the drawing early takes the prompt off the
        server first.

        Raises:
            EngineError: the picture could not be drawn.
        """
        earlier = read_ticket(self._turn.ticket)
        prompt, graph = self._prompt(earlier) if earlier else None, None
        try:
            yield Progress("waiting")
            if prompt is None or await self._is_void(prompt):
                ticket, graph = await self._prepared()
                prompt = self._prompt(ticket)
            async with prompt.listener():
                if graph is not None:
                    await self._send(prompt, graph)
                async with aclosing(prompt.follow()) as news:
                    async for progress in news:
                        yield progress
            steps = sum(prompt.ticket.passes.values())
            yield Progress("fetching", steps, steps)
            picture = await self._picture(prompt)
        except EngineDownError:
            raise
        except BaseException:
            if prompt is not None:
                await outlast(prompt.abandon())
            raise
        await outlast(prompt.forget())
        yield picture

    def _prompt(self, ticket: Ticket) -> Prompt:
        return Prompt(client=self._client, ticket=ticket, timing=self._timing)

    async def _is_void(self, prompt: Prompt) -> bool:
        """Say whether an earlier attempt's prompt will give no picture, and clear it away."""
        standing = await self._client.look(prompt.ticket.prompt_id)
        if isinstance(standing, Interrupted):
            await prompt.forget()
        return isinstance(standing, Gone | Interrupted)

    async def _prepared(self) -> tuple[Ticket, Graph]:
        """Settle what will be sent; the uploads are named by content, so they may be repeated."""
        spec, prompt_id = worded(self._spec), new_prompt_id()
        template = await asyncio.to_thread(self._shelf.template, spec.model)
        stats = await self._client.stats()
        if template is None:
            names = await self._resolver.names(spec, prompt_id)
            workflow, shortfalls = build(spec, names), list[Shortfall]()
        else:
            names = await self._resolver.template_names(spec, prompt_id, template)
            workflow, shortfalls = template.fill(spec, names)
        facts = {
            "engine_version": str(stats.get("comfyui_version", "")),
            "checkpoint": names.checkpoint,
            "sampler": f"{names.sampler}/{names.scheduler}" if names.sampler else spec.sampler,
            "loras": [lora.name for lora in names.loras],
            "controls": list(names.controls),
            "refiner": names.refiner,
        }
        if template is not None:
            facts["checkpoint"] = names.checkpoint or template.checkpoint
            facts |= {"workflow": template.name, "workflow_sha256": template.digest}
        ticket = Ticket(
            prompt_id=prompt_id,
            client_id=uuid.uuid4().hex,
            output=workflow.output,
            passes=dict(workflow.passes),
            classes={node: class_of(workflow.graph, node) for node in workflow.graph},
            size=workflow.size,
            facts={name: fact for name, fact in facts.items() if fact},
            shortfalls=(*shortfalls, *_beyond_any_workflow(spec)),
        )
        return ticket, workflow.graph

    async def _send(self, prompt: Prompt, graph: Graph) -> None:
        ticket = prompt.ticket
        await self._turn.keep_ticket(ticket.write())
        await prompt.submit(graph)
        if prompt.ticket != ticket:  # old servers choose the id themselves
            await self._turn.keep_ticket(prompt.ticket.write())

    async def _picture(self, prompt: Prompt) -> Picture:
        ticket, files = prompt.ticket, _files(prompt)
        data = await self._fetched(files[0])
        size = ticket.size
        if size is None:
            size = await asyncio.to_thread(_measured, data)
        width, height = size
        shortfalls = list(ticket.shortfalls)
        if (width, height) != self._spec.output_size:
            asked = "{}x{}".format(*self._spec.output_size)
            shortfalls.append(
                Shortfall(
                    "size_changed", f"the workflow draws {width}x{height}, not {asked}", "width"
                )
            )
        if len(files) > 1:
            shortfalls.append(
                Shortfall("pictures_dropped", f"the workflow drew {len(files)}; this is the first")
            )
        return Picture(
            png=await asyncio.to_thread(verify, data, width=width, height=height),
            width=width,
            height=height,
            seed=self._spec.seed,
            facts=ticket.facts,
            shortfalls=tuple(shortfalls),
        )

    async def _fetched(self, file: File) -> bytes:
        for _ in range(_FETCHES - 1):
            try:
                return await self._client.view(file)
            except (AnswerLostError, EngineTimeoutError):
                await asyncio.sleep(self._timing.quick_seconds)
        return await self._client.view(file)


def _files(prompt: Prompt) -> tuple[File, ...]:
    """Return the pictures of the node that we look at: cached ones of others may lie beside."""
    match prompt.outcome:
        case Drawn(outputs) if files := outputs.get(prompt.ticket.output):
            return files
        case Drawn():
            raise BadPictureError("the workflow's output node gave no picture")
        case Failed(error):
            raise error
        case Interrupted() | None:
            raise EngineDownError("somebody else interrupted the prompt on the server")


def _beyond_any_workflow(spec: GenerationSpec) -> list[Shortfall]:
    found = []
    if spec.tiling is not Tiling.NONE:
        found.append(Shortfall("unsupported", "ComfyUI's own nodes cannot tile", "tiling"))
    if spec.mask is not None and spec.init_image is None:
        found.append(Shortfall("unsupported", "a mask needs an init image", "mask"))
    return found


def _measured(data: bytes) -> tuple[int, int]:
    try:
        with Image.open(io.BytesIO(data)) as picture:
            return picture.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadPictureError(f"{len(data)} bytes that are no picture: {error}") from error
