"""The order of the backlog: shares, priorities, turns, ageing, affinity."""

import gc
from collections import Counter
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from engines.base import EngineName
from engines.spec import GenerationSpec
from scheduler.backlog import AFFINITY, AGEING, Backlog
from scheduler.job import LANE_WEIGHTS, Job, JobId, Lane

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def job(
    number: int,
    *,
    lane: Lane = Lane.NORMAL,
    priority: int = 0,
    client: str = "",
    model: str = "m",
    steps: int = 10,
) -> Job:
    spec = GenerationSpec(
        prompt="p", model=model, width=512, height=512, steps=steps, cfg=7, seed=0, sampler="euler"
    )
    return Job(
        id=JobId(f"j{number}"),
        number=number,
        spec=spec,
        engine=EngineName("fake"),
        lane=lane,
        created_at=BEGIN,
        priority=priority,
        client=client,
    )


jobs = st.builds(
    job,
    st.integers(0, 40),
    lane=st.sampled_from(Lane),
    priority=st.integers(-2, 2),
    client=st.sampled_from("abc"),
    model=st.sampled_from("xy"),
    steps=st.integers(1, 50),
)
moves = st.lists(
    st.one_of(
        st.tuples(st.just("push"), jobs),
        st.tuples(st.just("front"), jobs),
        st.tuples(st.just("remove"), jobs),
        st.tuples(st.just("next"), st.sampled_from([None, "x", "y"])),
    ),
    max_size=80,
)


def play(sequence: list[tuple[str, Job | str | None]]) -> list[Job | None]:
    """Make the moves and return what came out, checking that nothing is lost or doubled."""
    backlog, expected, out = Backlog(), {}, []
    for move, what in sequence:
        match what:
            case Job() if move == "remove":
                assert backlog.remove(what.id) == expected.pop(what.id, None)
            case Job():
                backlog.push(what, front=move == "front")
                expected[what.id] = what
            case _:
                chosen = backlog.next(loaded=what)
                out.append(chosen)
                assert (chosen is None) == (not expected)
                if chosen is not None:
                    assert expected.pop(chosen.id) == chosen
        assert len(backlog) == len(expected)
        assert {j.id for j in backlog} == set(expected)
    return out


@given(moves)
def test_nothing_is_lost_or_doubled_whatever_happens(
    sequence: list[tuple[str, Job | str | None]],
) -> None:
    play(sequence)


@given(moves)
def test_the_same_calls_give_the_same_answers(sequence: list[tuple[str, Job | str | None]]) -> None:
    assert play(sequence) == play(sequence)


def drain(backlog: Backlog, **how: str | None) -> list[Job]:
    return [chosen for chosen in iter(lambda: backlog.next(**how), None) if chosen]


def filled(*waiting: Job) -> Backlog:
    backlog = Backlog()
    for one in waiting:
        backlog.push(one)
    return backlog


def test_lanes_get_work_by_weight_while_all_are_busy() -> None:
    backlog = Backlog()
    for place, lane in enumerate(Lane):
        for n in range(400):
            backlog.push(job(1000 * place + n, lane=lane))
    first = Counter(backlog.next().lane for _ in range(300))  # type: ignore[union-attr]
    total = sum(LANE_WEIGHTS.values())
    for lane, weight in LANE_WEIGHTS.items():
        assert abs(first[lane] - 300 * weight / total) <= 2


def test_work_counts_and_not_the_number_of_jobs() -> None:
    backlog = Backlog()
    for n in range(200):
        backlog.push(job(n, lane=Lane.NORMAL, steps=40, client="big"))
        backlog.push(job(1000 + n, lane=Lane.INTERACTIVE, steps=10, client="small"))
    work = Counter()
    for _ in range(150):
        chosen = backlog.next()
        assert chosen is not None
        work[chosen.lane] += chosen.spec.steps
    assert 1.7 < work[Lane.INTERACTIVE] / work[Lane.NORMAL] < 2.3


def test_an_idle_lane_saves_up_nothing() -> None:
    backlog = filled(*(job(n, lane=Lane.BACKGROUND) for n in range(100)))
    for _ in range(50):
        backlog.next()
    for n in range(200, 300):
        backlog.push(job(n, lane=Lane.HIGHRES))
    following = Counter(backlog.next().lane for _ in range(30))  # type: ignore[union-attr]
    assert 8 <= following[Lane.BACKGROUND] <= 12


def test_priority_comes_before_age() -> None:
    order = [j.number for j in drain(filled(job(1), job(2, priority=5), job(3)))]
    assert order == [2, 1, 3]


def test_clients_of_a_lane_take_turns() -> None:
    backlog = filled(*(job(n, client="flood") for n in range(10)), job(99, client="quiet"))
    assert 99 in [backlog.next().number for _ in range(2)]  # type: ignore[union-attr]


@given(st.integers(0, 30), st.integers(1, 5))
def test_ageing_bounds_every_wait(older: int, flood: int) -> None:
    backlog = filled(*(job(n, priority=-5) for n in range(older)), job(500, priority=-5))
    number = 1000
    for choice in range(1, AGEING * (older + 1) + 1):
        for _ in range(flood):
            number += 1
            backlog.push(job(number, priority=5))
        chosen = backlog.next()
        if chosen is not None and chosen.number == 500:
            assert choice <= AGEING * (older + 1)
            return
    raise AssertionError("the old job starved")


def test_a_client_s_near_job_with_the_loaded_model_goes_first_but_not_for_ever() -> None:
    backlog = filled(job(0, model="cold"), *(job(n, model="warm") for n in range(1, 20)))
    order = [backlog.next(loaded="warm").number for _ in range(AFFINITY + 1)]  # type: ignore[union-attr]
    assert order == [1, 2, 3, 4, 0]


def test_a_job_that_lost_its_turn_goes_to_the_front() -> None:
    backlog = filled(job(1), job(2))
    backlog.push(job(3), front=True)
    assert [j.number for j in drain(backlog)] == [3, 1, 2]


def test_position_counts_those_ahead() -> None:
    backlog = filled(job(1), job(2), job(3), job(4, priority=9))
    assert [backlog.position(JobId(f"j{n}")) for n in (4, 1, 2, 3)] == [0, 1, 2, 3]
    backlog.next()
    assert backlog.position(JobId("j3")) == 2
    assert backlog.position(JobId("j4")) is None


def test_only_open_lanes_are_served() -> None:
    backlog = filled(job(1, lane=Lane.BACKGROUND))
    assert backlog.next(lanes=[Lane.INTERACTIVE]) is None
    chosen = backlog.next(lanes=[Lane.BACKGROUND])
    assert chosen is not None
    assert chosen.number == 1


def test_what_was_cancelled_is_not_kept_behind_a_job_that_waits() -> None:
    backlog = Backlog()
    backlog.push(job(0))
    for number in range(1, 1000):
        backlog.push(job(number, client="other"))
        backlog.push(job(-number, client=f"client-{number}"))
        backlog.remove(JobId(f"j{number}"))
        backlog.remove(JobId(f"j{-number}"))
    kept = [one for one in gc.get_objects() if isinstance(one, Job) and one.client]
    assert len(kept) < 200
    assert backlog.next() == job(0)
