"""The queue and the worker of a fake InvokeAI: a database that is ahead of what really happens."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engines.card import test_card
from tests.fakes.invokeai_graphs import denoisings, model_keys, output_of, seed_of, size_of
from tests.fakes.invokeai_pictures import preview, spoiled
from tests.fakes.stage import Phase, Stage

Emit = Callable[[str, Mapping[str, Any]], Awaitable[None]]

_FAILURES = {
    "out_of_memory": ("OutOfMemoryError", "CUDA out of memory. Tried to allocate 2.00 GiB"),
    "model_not_found": ("Exception", "Unknown model: 0000"),
    "": ("AssertionError", "LoRA and UNet are of different bases"),
}


@dataclass
class FakeItem:
    """A row of the queue's table."""

    number: int
    queue: str
    batch: Mapping[str, Any]
    status: str = "pending"
    begun: bool = False
    error: tuple[str, str] | None = None
    images: dict[str, str] = field(default_factory=dict)
    sequence: int = 0
    interrupted: asyncio.Event = field(default_factory=asyncio.Event)
    prepared: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def ended(self) -> bool:
        return self.status in ("completed", "failed", "canceled")

    def events(self) -> dict[str, Any]:
        """Return what every event about the item carries."""
        return {
            "timestamp": 0,
            "queue_id": self.queue,
            "item_id": self.number,
            "batch_id": self.batch["batch_id"],
            "origin": self.batch.get("origin"),
            "destination": self.batch.get("destination"),
            "user_id": "system",
            "session_id": "s",
        }

    def row(self) -> dict[str, Any]:
        """Return the item as `GET …/i/{item_id}` does: nulls are left out."""
        results: dict[str, Any] = {str(uuid.uuid4()): {"type": "noise_output"}}
        for name in self.images.values():
            results[self.prepared] = {"type": "image_output", "image": {"image_name": name}}
        return {
            "item_id": self.number,
            "status": self.status,
            "status_sequence": self.sequence,
            "priority": 0,
            "batch_id": self.batch["batch_id"],
            "destination": self.batch.get("destination"),
            "queue_id": self.queue,
            **({"started_at": "2026-01-01 00:00:00.000"} if self.begun else {}),
            **({"error_type": self.error[0], "error_message": self.error[1]} if self.error else {}),
            "session": {
                "id": "s",
                "results": results,
                "source_prepared_mapping": {node: [self.prepared] for node in self.images},
            },
        }


class FakeQueue:
    """One queue with one worker.

    Attributes:
        images: Name → PNG of everything that was drawn or uploaded.
        silent: Send no events, as a socket does that nobody listens to.
        crashes: Restart at the next step.
        twice: Send every event twice and the second without its preview, as 6.12 and 6.13 do.
    """

    def __init__(self, stage: Stage, emit: Emit, cut: Callable[[], None]) -> None:
        self.items: list[FakeItem] = []
        self.images: dict[str, bytes] = {}
        self.models: dict[str, Mapping[str, Any]] = {}
        self.silent = False
        self.twice = True
        self.crashes = False
        self.started = True
        self.processing = False
        self._stage = stage
        self._emit = emit
        self._cut = cut
        self._wake = asyncio.Event()

    def enqueue(self, queue: str, batch: Mapping[str, Any]) -> FakeItem:
        """Add an item, whatever else goes by the same batch id."""
        item = FakeItem(len(self.items) + 1, queue, batch)
        self.items.append(item)
        self._stage.accepted()
        self._wake.set()
        return item

    def cancel(self, item: FakeItem) -> None:
        """Call an item cancelled at once; the worker notices at its next step."""
        if item.ended:
            return
        if not item.begun:
            self._stage.ended(finished=False)
        item.status = "canceled"
        item.interrupted.set()

    def crash(self) -> None:
        """Do what a restart of the server does to the queue: silently cancel what was running."""
        self.crashes = False
        for item in self.items:
            if item.status == "in_progress":
                self.cancel(item)

    def resume(self, *, started: bool) -> None:
        """Let the worker take new items, or not."""
        self.started = started
        self._wake.set()

    async def work(self) -> None:
        """Draw one item after the other."""
        while True:
            pending = [item for item in self.items if item.status == "pending"]
            if not pending or not self.started:
                self._wake.clear()
                await self._wake.wait()
                continue
            self.processing = True
            try:
                await self._draw(pending[0])
            finally:
                self.processing = False

    async def _draw(self, item: FakeItem) -> None:
        item.begun = True
        await self._change(item, "in_progress")
        failure = self._stage.failure()
        if unknown := [k for k in model_keys(item.batch["graph"]) if k not in self.models]:
            item.error = ("Exception", f"Unknown model: {unknown[0]}")
        elif failure and failure != "hang":
            item.error = _FAILURES.get(failure, _FAILURES[""])
        finished = item.error is None and await self._step(item, hang=failure == "hang")
        if item.status == "canceled":
            await self._stage.lingered()
            self._stage.ended(finished=False)
            return
        if finished:
            self._save(item)
        self._stage.ended(finished=finished)
        await self._change(item, "completed" if finished else "failed")

    async def _step(self, item: FakeItem, *, hang: bool) -> bool:
        """Denoise; say whether the item came to its last step."""
        for node, steps in denoisings(item.batch["graph"]):
            await self._report(item, node, "Loading model tiny (unet)", None, None)
            for step in range(steps + 1):
                share = step / steps if steps else 1.0
                await self._report(item, node, "Denoising", share, preview())
                if self._stage.cuts(Phase.DRAWING):
                    self._cut()
                if self.crashes:
                    self.crash()
                if hang:
                    await item.interrupted.wait()
                if step:
                    await self._stage.stepped(item.interrupted)
                if item.interrupted.is_set():
                    return False
        output = output_of(item.batch["graph"])
        await self._report(item, output, "Running VAE decoder", None, None)
        return not item.interrupted.is_set()

    def _save(self, item: FakeItem) -> None:
        graph = item.batch["graph"]
        node = output_of(graph)
        width, height = size_of(graph, node)
        png = test_card(width=width, height=height, seed=seed_of(graph))
        name = f"{uuid.uuid4()}.png"
        self.images[name] = spoiled(png, self._stage.flaw())
        item.images[node] = name

    async def _change(self, item: FakeItem, status: str) -> None:
        item.status = status
        item.sequence += 1
        event = {**item.events(), "status": status, "status_sequence": item.sequence}
        await self._tell("queue_item_status_changed", event)

    async def _report(
        self,
        item: FakeItem,
        node: str,
        message: str,
        percentage: float | None,
        image: Mapping[str, Any] | None,
    ) -> None:
        event = {
            **item.events(),
            "invocation": item.batch["graph"]["nodes"][node],
            "invocation_source_id": node,
            "message": message,
            "percentage": percentage,
            "image": image,
            "device": None,
        }
        await self._tell("invocation_progress", event)

    async def _tell(self, name: str, event: Mapping[str, Any]) -> None:
        if self.silent:
            return
        await self._emit(name, event)
        if self.twice:
            await self._emit(name, {**event, "image": None} if "image" in event else event)
