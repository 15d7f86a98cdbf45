"""What a picture wants to do next, said before it is done."""

from dataclasses import dataclass

from engines.base import Phase
from engines.diffusers.library import Shelved
from engines.diffusers.precision import Rung
from engines.diffusers.session import Group, Session


@dataclass(frozen=True, slots=True)
class Work:
    """The next piece of work on a picture; nothing of it happens before its turn.

    Attributes:
        model: The model that it needs.
        rung: The precision at which it needs it.
        session: What is to be stepped, when the phase is `drawing`.
    """

    phase: Phase
    model: Shelved
    rung: Rung
    session: Session | None = None

    @property
    def group(self) -> Group | None:
        """What pictures must have in common to be stepped together."""
        return None if self.session is None else self.session.group
