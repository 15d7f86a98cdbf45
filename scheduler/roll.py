"""Who holds a GPU and who waits for it: the book that `scheduler.leases` decides about."""

from collections.abc import Iterator
from dataclasses import replace

from scheduler.errors import LeaseLostError
from scheduler.lease import Ask, Expired, Granted, Lease, Refused, Tenant


class Roll:
    """Leases and asks, each in the order of their coming."""

    def __init__(self, *, token: int) -> None:
        self._token = token
        self._leases: dict[str, Lease] = {}
        self._asks: dict[str, Ask] = {}

    @property
    def leases(self) -> tuple[Lease, ...]:
        """Who holds the GPU, oldest first."""
        return tuple(self._leases.values())

    @property
    def asks(self) -> tuple[Ask, ...]:
        """Who waits for it, oldest first."""
        return tuple(self._asks.values())

    def holds(self, tenant: Tenant) -> bool:
        """Say whether anybody of a class holds a lease."""
        return any(lease.tenant is tenant for lease in self._leases.values())

    def waits(self, tenant: Tenant) -> bool:
        """Say whether anybody of a class waits for one."""
        return any(ask.tenant is tenant for ask in self._asks.values())

    def add(self, ask: Ask) -> None:
        """Enter somebody who waits."""
        self._asks[ask.id] = ask

    def strike(self, entry_id: str) -> None:
        """Remove an ask or the lease that it has become; nothing happens if there is none."""
        self._asks.pop(entry_id, None)
        self._leases.pop(entry_id, None)

    def held(self, lease_id: str, token: int) -> Lease:
        """Return a lease.

        Raises:
            LeaseLostError: it is lost, or the token is not its own.
        """
        lease = self._leases.get(lease_id)
        if lease is None or lease.token != token:
            raise LeaseLostError
        return lease

    def prolong(self, lease: Lease, expires: float) -> Lease:
        """Give a lease a later expiry."""
        self._leases[lease.id] = replace(lease, expires=expires)
        return self._leases[lease.id]

    def lapse(self, now: float) -> Iterator[Expired | Refused]:
        """Strike the leases that are past their expiry and the asks past their deadline."""
        for lease in self.leases:
            if lease.expires <= now:
                del self._leases[lease.id]
                yield Expired(lease)
        for ask in self.asks:
            if ask.deadline <= now:
                del self._asks[ask.id]
                yield Refused(ask, tuple(lease.holder for lease in self._leases.values()))

    def grant(self, now: float, tenant: Tenant) -> Iterator[Granted]:
        """Turn every ask of a class into a lease."""
        for ask in self.asks:
            if ask.tenant is not tenant:
                continue
            del self._asks[ask.id]
            self._token += 1
            self._leases[ask.id] = Lease(
                id=ask.id,
                tenant=tenant,
                holder=ask.holder,
                token=self._token,
                since=now,
                expires=now + ask.ttl_seconds,
                waited_seconds=now - ask.since,
            )
            yield Granted(self._leases[ask.id])

    def deadlines(self) -> Iterator[float]:
        """Yield when something will lapse."""
        yield from (lease.expires for lease in self._leases.values())
        yield from (ask.deadline for ask in self._asks.values())
