"""How long a server is waited for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a server is waited for.

    Attributes:
        poll_seconds: Between two looks at the queue; the socket hastens them.
        lost_seconds: How long the server may be out of reach while it draws.
        stall_seconds: How long nothing at all may change before the drawing is given up.
        stop_seconds: How long a cancelled drawing may go on.
    """

    poll_seconds: float = 2.0
    lost_seconds: float = 15.0
    stall_seconds: float = 1800.0
    stop_seconds: float = 300.0
