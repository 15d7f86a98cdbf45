"""The drawing thread's loop without its thread: every round happens when it is asked for."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from engines.base import Turn
from engines.diffusers import DiffusersSettings
from engines.diffusers.digests import Digests
from engines.diffusers.furnishing import Furnishing
from engines.diffusers.library import Library
from engines.diffusers.mailbox import Died, Drawn, Mailbox
from engines.diffusers.order import Order
from engines.diffusers.runner import Runner
from engines.diffusers.studio import Studio, open_studio
from engines.inputs import Inputs
from engines.spec import GenerationSpec


@dataclass(slots=True)
class Rounds:
    """A runner in the caller's thread; use it where an event loop runs."""

    studio: Studio
    runner: Runner
    orders: list[Order] = field(default_factory=list)

    def order(self, spec: GenerationSpec, turn: Turn) -> Order:
        """Order a picture."""
        order = Order(number=len(self.orders), spec=spec, turn=turn, mailbox=Mailbox())
        self.orders.append(order)
        self.runner.admit(order)
        return order

    def draw(self) -> None:
        """Go on until there is nothing left to do."""
        while self.runner.round():
            pass

    async def drawn(self, order: Order) -> Drawn:
        """Return what came of an order whose drawing has ended."""
        while True:
            news = await order.mailbox.take()
            if isinstance(news, Died):
                raise news.error
            if isinstance(news, Drawn):
                return news


@contextmanager
def open_rounds(
    models_dir: Path,
    folder: Path,
    *,
    batch: int | None = None,
    change: Callable[[Studio], Studio] = lambda studio: studio,
) -> Iterator[Rounds]:
    """Open a studio on the CPU, with some of its tools changed."""
    furnishing = Furnishing(
        library=Library(
            models_dir=models_dir, digests=Digests(memory=folder / "digests.json"), allow_hub=False
        ),
        data_dir=folder,
        inputs=Inputs(folder / "inputs"),
        device="cpu",
        settings=DiffusersSettings(preview_seconds=0, snapshot_seconds=0, batch=batch),
    )
    with open_studio(furnishing) as opened:
        studio = change(opened)
        runner = Runner(studio=studio)
        yield Rounds(studio, runner)
        runner.close()
