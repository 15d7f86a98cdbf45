"""Chooses who steps next: the most urgent picture, and those that may share its call."""

from collections.abc import Callable, Sequence

from engines.diffusers.drawing import Drawing
from engines.diffusers.session import Group


def choose(
    ranked: Sequence[Drawing], *, enters: Callable[[Drawing], bool], limit: Callable[[Group], int]
) -> Sequence[Drawing]:
    """Return the pictures whose work is done next; each of them has entered its turn.

    Going through the pictures, most urgent first:

    1. If a picture wants to be stepped and its call has room, one of the same model that is
       not ready for steps yet goes first: that takes about one step, and from then on it
       shares the others'.
    2. Else the first picture that may enter leads.
    3. If it wants to be stepped, its call is filled with pictures of its group.

    Args:
        ranked: All pictures, most urgent first.
        enters: Begins a picture's turn; False when it may not step now.
        limit: How many pictures of a group may share a call.
    """
    for leader in ranked:
        group = leader.group
        mates = [one for one in ranked if one.group == group] if group is not None else [leader]
        most = 1 if group is None else limit(group)
        newcomer = _newcomer(group, ranked) if len(mates) < most else None
        if newcomer is not None and enters(newcomer):
            return [newcomer]
        if enters(leader):
            return [leader, *_company(leader, mates, enters, most)]
    return []


def _newcomer(group: Group | None, ranked: Sequence[Drawing]) -> Drawing | None:
    """Return a picture of the group's model that is not ready for steps, if it may have company."""
    if group is None or group.alone:
        return None
    for one in ranked:
        work = one.work
        if (
            work is not None
            and work.phase in {"loading", "encoding"}
            and (work.model.mark, work.rung.name) == (group.model, group.rung)
            and not one.order.spec.reproducible
        ):
            return one
    return None


def _company(
    leader: Drawing, mates: Sequence[Drawing], enters: Callable[[Drawing], bool], most: int
) -> Sequence[Drawing]:
    company: list[Drawing] = []
    for one in mates:
        if len(company) + 1 >= most:
            break
        if one is not leader and enters(one):
            company.append(one)
    return company
