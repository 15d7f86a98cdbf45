"""From the names of samplers that people use to the pair that the server compares."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from engines.a1111.stock import Stock
from engines.errors import InvalidSpecError
from engines.samplers import Samplers

AUTOMATIC: Final = "Automatic"


class Method(NamedTuple):
    """A sampler, and the schedule of its noise; empty where the server knows no schedulers."""

    sampler: str
    scheduler: str


METHODS: Final[Mapping[str, Method]] = {
    "euler": Method("Euler", "Uniform"),
    "euler_a": Method("Euler a", "Uniform"),
    "ddim": Method("DDIM", AUTOMATIC),
    "dpmpp_2m": Method("DPM++ 2M", "Uniform"),
    "dpmpp_2m_karras": Method("DPM++ 2M", "Karras"),
    "dpmpp_sde": Method("DPM++ SDE", "Uniform"),
    "unipc": Method("UniPC", AUTOMATIC),
    "lcm": Method("LCM", AUTOMATIC),
    "heun": Method("Heun", "Uniform"),
}
"""Our samplers in the server's words: automatic would give DPM++ samplers the Karras schedule, and
is right only where the sampler brings its own."""


def find_method(wanted: str, stock: Stock) -> Method:
    """Translate a sampler: one of ours, or the server's own, as `Sampler` or `Sampler Scheduler`.

    The server takes its first sampler, or the automatic schedule, for names that it does not know.

    Raises:
        InvalidSpecError: the server does not have it.
    """
    ours = METHODS.get(wanted)
    if ours is None:
        return _own(wanted, stock)
    if stock.schedulers:
        return Method(
            _required("sampler", ours.sampler, stock.samplers),
            _required("scheduler", ours.scheduler, stock.schedulers),
        )
    karras = f"{ours.sampler} Karras" if ours.scheduler == "Karras" else ours.sampler
    return Method(_required("sampler", karras, stock.samplers), "")


def samplers_of(stock: Stock) -> Samplers:
    """Return what a server draws with: our names for it, then its own."""

    def reads(name: str) -> bool:
        try:
            find_method(name, stock)
        except InvalidSpecError:
            return False
        return True

    return Samplers((*(name for name in METHODS if reads(name)), *stock.samplers), reads)


def _own(wanted: str, stock: Stock) -> Method:
    """Split the server's own name at any space, longest sampler first."""
    words = wanted.split(" ")
    for cut in range(len(words), 0, -1):
        sampler, scheduler = " ".join(words[:cut]), " ".join(words[cut:])
        found = _named(sampler, stock.samplers)
        if found and not scheduler:
            return Method(found, AUTOMATIC if stock.schedulers else "")
        if found and (schedule := _named(scheduler, stock.schedulers)):
            return Method(found, schedule)
    return Method(_required("sampler", wanted, stock.samplers), "")


def _required(kind: str, name: str, known: Mapping[str, tuple[str, ...]]) -> str:
    found = _named(name, known)
    if found is None:
        raise InvalidSpecError(
            f"the server has no {kind} {name!r}; it has {', '.join(known)}", field="sampler"
        )
    return found


def _named(name: str, known: Mapping[str, tuple[str, ...]]) -> str | None:
    """Return the name, as the server writes it, of what `name` means; case does not matter."""
    wanted = name.casefold()
    for full, aliases in known.items():
        if wanted in (full.casefold(), *(alias.casefold() for alias in aliases)):
            return full
    return None
