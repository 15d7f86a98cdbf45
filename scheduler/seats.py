"""Who may draw on an engine at once, and who may be let in to overtake."""

from collections.abc import Callable, Collection

from engines.base import Engine
from scheduler.job import Lane

_RANK = {lane: rank for rank, lane in enumerate(Lane)}


class Seat:
    """The right to draw one picture on an engine; give it back when it is drawn.

    Attributes:
        resting: Its picture is paused, so that another may be drawn meanwhile.
    """

    def __init__(self, seats: "Seats", lane: Lane) -> None:
        self._seats = seats
        self.lane = lane
        self.resting = False

    def rest(self, resting: bool) -> None:
        """Let others draw meanwhile, or draw again."""
        self.resting = resting
        self._seats.look()

    def release(self) -> None:
        """Give the seat back; may be called twice."""
        self._seats.give_back(self)


class Seats:
    """Counts the pictures on an engine against its capabilities.

    Up to `batch` pictures every lane is let in. Beyond that, up to `slots`, only a lane that
    comes before one of those that are drawing: it is let in to overtake. Paused pictures are held
    and not drawn, so they count against `slots` alone.
    """

    def __init__(self, engine: Engine, *, freed: Callable[[], object]) -> None:
        self._engine = engine
        self._freed = freed
        self._taken: set[Seat] = set()

    def __len__(self) -> int:
        return len(self._taken)

    def open_to(self) -> Collection[Lane]:
        """Return the lanes that may be let in now."""
        can, drawing = self._engine.capabilities, self._drawing()
        if len(self._taken) >= max(can.slots, can.batch):
            return ()
        if len(drawing) < can.batch:
            return tuple(Lane)
        last = max(_RANK[seat.lane] for seat in drawing)
        return [lane for lane in Lane if _RANK[lane] < last]

    def take(self, lane: Lane) -> Seat:
        """Seat a picture of a lane that `open_to` lists."""
        seat = Seat(self, lane)
        self._taken.add(seat)
        return seat

    def take_spare(self, lane: Lane) -> Seat | None:
        """Seat one more picture of a job that is drawing, if that costs nobody anything."""
        can = self._engine.capabilities
        room = len(self._taken) < max(can.slots, can.batch) and len(self._drawing()) < can.batch
        return self.take(lane) if room else None

    def give_back(self, seat: Seat) -> None:
        """Free a seat."""
        if seat in self._taken:
            self._taken.remove(seat)
            self._freed()

    def look(self) -> None:
        """Say that a picture was paused, or goes on."""
        self._freed()

    def _drawing(self) -> Collection[Seat]:
        return [seat for seat in self._taken if not seat.resting]
