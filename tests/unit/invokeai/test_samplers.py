"""Sampler names, ours and the server's."""

from typing import get_args

import pytest

from engines.errors import InvalidSpecError
from engines.invokeai.samplers import SAMPLERS, SCHEDULERS, find_scheduler, samplers_of
from engines.spec import Sampler
from tests.fakes.invokeai_graphs import RECORDED

KNOWN = frozenset(RECORDED["schedulers"])


@pytest.mark.parametrize("sampler", get_args(Sampler))
def test_every_sampler_of_ours_is_one_of_the_servers(sampler: str) -> None:
    assert find_scheduler(sampler, KNOWN) in KNOWN


def test_both_directions_agree() -> None:
    assert {SAMPLERS[theirs]: theirs for theirs in SAMPLERS} == dict(SCHEDULERS)


def test_karras_is_an_ending_there() -> None:
    assert find_scheduler("dpmpp_2m_karras", KNOWN) == "dpmpp_2m_k"
    assert find_scheduler("dpmpp_sde_karras", KNOWN) == "dpmpp_sde_k"


def test_the_servers_own_names_pass() -> None:
    assert find_scheduler("er_sde", KNOWN) == "er_sde"


@pytest.mark.parametrize("sampler", ["plms", "pndm_karras", ""])
def test_an_unknown_one_is_refused_with_those_there_are(sampler: str) -> None:
    with pytest.raises(InvalidSpecError, match="tcd") as caught:
        find_scheduler(sampler, KNOWN)
    assert caught.value.field == "sampler"


def test_what_is_read_is_listed_in_our_words_first() -> None:
    samplers = samplers_of(frozenset({"euler", "dpmpp_2m_k", "er_sde", "deis_k", "tcd"}))
    assert samplers is not None
    assert samplers.names == ("euler", "dpmpp_2m_karras", "deis_k", "er_sde", "tcd")
    assert samplers.reads("deis_karras")
    assert not samplers.reads("heun")


def test_a_server_that_names_none_is_not_spoken_for() -> None:
    assert samplers_of(frozenset()) is None
