"""Who asks the leases for the GPU, and what they decide."""

from scheduler.lease import Ask, Decision, Granted, LlmPolicy, Rules, Tenant
from scheduler.leases import Leases

RUDE = Rules(policy=LlmPolicy.INTERRUPT, patience_seconds=5.0)


def chat(name: str, *, since: float = 0.0, **more: float) -> Ask:
    return Ask(id=name, tenant=Tenant.LLM, holder=name, since=since, **more)


def program(name: str, *, since: float = 0.0, **more: float) -> Ask:
    return Ask(id=name, tenant=Tenant.IMAGES, holder=name, since=since, **more)


def granted(decisions: list[Decision]) -> list[str]:
    return [d.lease.id for d in decisions if isinstance(d, Granted)]


def drawing(rules: Rules = Rules()) -> Leases:  # noqa: B008 - frozen
    """Return a GPU on which pictures are drawn."""
    machine = Leases(rules=rules)
    assert machine.want(0.0, True) == []
    return machine
