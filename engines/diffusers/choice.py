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
        newcomer = _newcomer(leader, ranked, limit)
        if newcomer is not None and enters(newcomer):
            return [newcomer]
        if enters(leader):
            return [leader, *_company(leader, ranked, enters, limit)]
    return []


def _newcomer(
    leader: Drawing, ranked: Sequence[Drawing], limit: Callable[[Group], int]
) -> Drawing | None:
    group = leader.group
    if group is None or group.alone:
        return None
    if sum(one.group == group for one in ranked) >= limit(group):
        return None
    for one in ranked:
        work = one.work
        if (
            work is not None
            and work.phase in {"loading", "encoding"}
            and work.model.mark == group.model
            and not one.order.spec.reproducible
        ):
            return one
    return None


def _company(
    leader: Drawing,
    ranked: Sequence[Drawing],
    enters: Callable[[Drawing], bool],
    limit: Callable[[Group], int],
) -> Sequence[Drawing]:
    company: list[Drawing] = []
    group = leader.group
    if group is None:
        return company
    for one in ranked:
        if len(company) + 1 >= limit(group):
            break
        if one is not leader and one.group == group and enters(one):
            company.append(one)
    return company
