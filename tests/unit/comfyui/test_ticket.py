import uuid

from engines.base import Shortfall
from engines.comfyui.ticket import Ticket, new_prompt_id, read_ticket

TICKET = Ticket(
    prompt_id="p",
    client_id="c",
    output="7",
    passes={"5": 20},
    classes={"5": "KSampler"},
    size=(64, 48),
    facts={"engine_version": "0.3.64", "loras": ["x"]},
    shortfalls=(Shortfall("unsupported", "no tiles", "tiling"),),
)


def test_a_ticket_is_read_as_it_was_written() -> None:
    assert read_ticket(TICKET.write()) == TICKET


def test_nothing_and_nonsense_are_no_ticket() -> None:
    assert read_ticket(None) is None
    assert read_ticket("") is None
    assert read_ticket("task(imagesvc-1)") is None
    assert read_ticket('{"prompt_id": "p"}') is None


def test_prompts_have_names_that_newer_servers_accept() -> None:
    name = new_prompt_id()
    assert str(uuid.UUID(name)) == name
    assert new_prompt_id() != name
