"""A request for one picture, shared between the event loop that made it and the thread."""

from concurrent.futures import Future
from dataclasses import dataclass, field

from engines.base import Turn
from engines.diffusers.mailbox import Mailbox
from engines.spec import GenerationSpec


@dataclass(slots=True, eq=False)
class Order:
    """One picture to be drawn.

    Attributes:
        number: Grows with every order; ties are broken by it.
        cancelled: Set by the event loop; the drawing ends at the next step boundary.
        freed: Done as soon as the thread has nothing to do with the picture any more.
    """

    number: int
    spec: GenerationSpec
    turn: Turn
    mailbox: Mailbox
    cancelled: bool = False
    freed: "Future[None]" = field(default_factory=Future)
