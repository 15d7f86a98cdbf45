"""How long an engine waits for the server that draws for it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerPatience:
    """How often a server is looked at while it draws, and when the drawing is given up.

    Attributes:
        poll_seconds: Between two looks at the server.
        stall_seconds: How long nothing at all may change before the drawing is given up; loading
            a big model changes nothing for minutes.
        stop_seconds: How long a cancelled drawing may go on.
        lost_seconds: How long the server may be out of reach; zero where the picture travels on
            the connection that broke.
    """

    poll_seconds: float
    stall_seconds: float
    stop_seconds: float
    lost_seconds: float = 0.0
