"""The queue and the worker of a fake ComfyUI: one prompt at a time, and node outputs cached."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.comfyui_nodes import (
    OUTPUTS,
    Shelf,
    seed_of,
    signature,
    size_of,
    steps_of,
    upstream,
)
from tests.fakes.comfyui_pictures import drawn, preview
from tests.fakes.stage import Flaw, Phase, Stage

Send = Callable[[str, dict[str, Any] | bytes, str | None], Awaitable[None]]

_FAILURES = {
    "out_of_memory": ("torch.OutOfMemoryError", "Allocation on device 0 would exceed memory"),
    "node": ("ValueError", "mat1 and mat2 shapes cannot be multiplied"),
}


class _InterruptedError(Exception):
    """The prompt was interrupted."""


@dataclass(kw_only=True)
class Item:
    """A prompt that was taken in."""

    prompt_id: str
    graph: dict[str, Any]
    client_id: str | None
    outputs: list[str]
    interrupted: asyncio.Event = field(default_factory=asyncio.Event)

    def row(self) -> list[Any]:
        """Return what `GET /queue` tells of it."""
        return [0, self.prompt_id, self.graph, {"client_id": self.client_id}, self.outputs]


class Worker:
    """Runs prompts in the order in which they came.

    Attributes:
        history_gate: While it is clear, a prompt has been called a success but is in no history.
        deaf: Orders to stop that get lost, as those do that come before a prompt has really been
            queued or begun.
        previews: The format of previews.
        ran: The nodes that were run, not those that were cached.
    """

    def __init__(self, *, stage: Stage, shelf: Shelf, send: Send, cut: Callable[[], None]) -> None:
        self.stage = stage
        self.shelf = shelf
        self.pending: list[Item] = []
        self.running: Item | None = None
        self.history: dict[str, Any] = {}
        self.files: dict[tuple[str, str, str], bytes] = {}
        self.loaded = False
        self.deaf = 0
        self.previews = "JPEG"
        self.ran: list[str] = []
        self.history_gate = asyncio.Event()
        self.history_gate.set()
        self._cache: dict[str, dict[str, Any]] = {}
        self._send = send
        self._cut = cut
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def put(self, item: Item) -> None:
        """Queue a prompt; whether one of that name is there already is of no interest."""
        self.pending.append(item)
        self._wake.set()

    def delete(self, prompt_id: str) -> bool:
        """Forget a waiting prompt: no event but `status`, no history."""
        found = [item for item in self.pending if item.prompt_id == prompt_id]
        if found and self.deaf > 0:
            self.deaf -= 1
            return False
        for item in found:
            self.pending.remove(item)
            self.stage.ended(finished=False)
        return bool(found)

    def interrupt(self, prompt_id: str | None) -> bool:
        """Interrupt the running prompt if it is this one, or whichever it is."""
        if self.running is None or prompt_id not in (None, self.running.prompt_id):
            return False
        if self.deaf > 0:
            self.deaf -= 1
        else:
            self.running.interrupted.set()
        return True

    def free(self) -> None:
        """Unload the models and forget what was computed."""
        self.loaded = False
        self._cache.clear()

    def start(self) -> None:
        """Begin to work."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End in the midst of whatever is run."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def restart(self) -> None:
        """Lose queue, history and cache, and begin anew."""
        await self.stop()
        for item in list(self.pending):
            self.delete(item.prompt_id)
        self.history.clear()
        self._cache.clear()
        self.start()

    async def _run(self) -> None:
        while True:
            while not self.pending:
                self._wake.clear()
                await self._wake.wait()
            self.running = self.pending.pop(0)
            entry: dict[str, Any] = {}
            try:
                entry = await self._execute(self.running)
            finally:
                done = entry.get("status", {}).get("completed", False)
                item, self.running = self.running, None
                self.stage.ended(finished=done)
            self.history[item.prompt_id] = entry
            await self._send(
                "executing", {"node": None, "prompt_id": item.prompt_id}, item.client_id
            )
            await self._send("status", self.status(), None)

    def status(self) -> dict[str, Any]:
        """Return what `GET /prompt` tells."""
        left = len(self.pending) + (self.running is not None)
        return {"status": {"exec_info": {"queue_remaining": left}}}

    async def _execute(self, item: Item) -> dict[str, Any]:
        messages: list[list[Any]] = []

        async def say(event: str, data: Mapping[str, Any]) -> None:
            told = {**data, "prompt_id": item.prompt_id, "timestamp": 0}
            messages.append([event, told])
            await self._send(event, told, item.client_id)

        await say("execution_start", {})
        order = list(dict.fromkeys(n for o in item.outputs for n in upstream(item.graph, o)))
        cached = [node for node in order if signature(item.graph, node) in self._cache]
        await say("execution_cached", {"nodes": cached})
        failure, completed = self.stage.failure(), False
        try:
            for node in order:
                if node not in cached:
                    await self._run_node(item, node, failure)
        except _InterruptedError:
            await self.stage.lingered()
            await say("execution_interrupted", {"node_id": "0"})
        except ValueError:
            kind, words = _FAILURES[failure]
            about = {"node_type": "KSampler", "exception_type": kind, "exception_message": words}
            await say("execution_error", about)
        else:
            completed = True
            await say("execution_success", {})
            await self.history_gate.wait()
        outputs = {
            node: ui
            for node in item.graph
            if (ui := self._cache.get(signature(item.graph, node))) and completed
        }
        status = {
            "status_str": "success" if completed else "error",
            "completed": completed,
            "messages": messages,
        }
        return {"prompt": item.row(), "outputs": outputs, "status": status, "meta": {}}

    async def _run_node(self, item: Item, node: str, failure: str) -> None:
        if item.interrupted.is_set():
            raise _InterruptedError
        where = {"node": node, "display_node": node, "prompt_id": item.prompt_id}
        await self._send("executing", where, item.client_id)
        self.ran.append(node)
        node_class, inputs = item.graph[node]["class_type"], item.graph[node]["inputs"]
        ui: dict[str, Any] = {}
        if "Loader" in node_class:
            self.loaded = True
        elif node_class.startswith("KSampler"):
            await self._sample(item, node, steps_of(inputs), failure)
        elif node_class in OUTPUTS:
            ui = self._save(item, node, node_class, inputs)
            await self._send("executed", {**where, "output": ui}, item.client_id)
        self._cache[signature(item.graph, node)] = ui

    async def _sample(self, item: Item, node: str, steps: int, failure: str) -> None:
        for step in range(1, steps + 1):
            data = {"value": step, "max": steps, "prompt_id": item.prompt_id, "node": node}
            await self._send("progress", data, item.client_id)
            state = {"value": step, "max": steps, "state": "running", "node_id": node}
            nodes = {"prompt_id": item.prompt_id, "nodes": {node: state}}
            await self._send("progress_state", nodes, item.client_id)
            await self._send(
                "preview", preview(item.prompt_id, node, self.previews), item.client_id
            )
            if self.stage.cuts(Phase.DRAWING):
                self._cut()
            await self.stage.stepped(item.interrupted)
            if item.interrupted.is_set():
                raise _InterruptedError
            if failure:
                raise ValueError(failure)

    def _save(
        self, item: Item, node: str, node_class: str, inputs: dict[str, Any]
    ) -> dict[str, Any]:
        width, height = size_of(item.graph, inputs["images"][0], self.shelf)
        flaw = self.stage.flaw()
        if flaw is Flaw.FOREIGN:
            return {"images": []}
        data = drawn(width, height, seed_of(item.graph, node), flaw)
        folder = "output" if node_class == "SaveImage" else "temp"
        subfolder, _, name = inputs.get("filename_prefix", "ComfyUI").rpartition("/")
        count = 1 + sum(key[1:] == (subfolder, folder) for key in self.files)
        filename = f"{name}_{count:05}_.png"
        self.files[filename, subfolder, folder] = data
        image = {"filename": filename, "subfolder": subfolder, "type": folder}
        nodes = [item.graph[name]["inputs"] for name in upstream(item.graph, node)]
        return {"images": [image] * max(inputs.get("batch_size", 1) for inputs in nodes)}
