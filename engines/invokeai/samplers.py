"""Our samplers in InvokeAI's words, where sampler and noise schedule share one name."""

from collections.abc import Collection, Mapping
from typing import Final, get_args

from engines.errors import InvalidSpecError
from engines.samplers import Samplers
from engines.spec import Sampler

SCHEDULERS: Final[Mapping[Sampler, str]] = {
    "euler": "euler",
    "euler_a": "euler_a",
    "ddim": "ddim",
    "dpmpp_2m": "dpmpp_2m",
    "dpmpp_2m_karras": "dpmpp_2m_k",
    "dpmpp_sde": "dpmpp_sde",
    "unipc": "unipc",
    "lcm": "lcm",
    "heun": "heun",
}

SAMPLERS: Final[Mapping[str, Sampler]] = {theirs: ours for ours, theirs in SCHEDULERS.items()}


def find_scheduler(sampler: str, known: Collection[str]) -> str:
    """Translate a sampler, ours or one of the server's own names.

    `…_karras` of a sampler that is not ours is read as the server's `…_k`. `known` is the enum of
    `denoise_latents.scheduler`: another name would have the whole graph refused.

    Raises:
        InvalidSpecError: the server does not have it.
    """
    candidates = [sampler]
    if sampler in get_args(Sampler):
        candidates = [SCHEDULERS[name] for name in SCHEDULERS if name == sampler]
    elif sampler.endswith("_karras"):
        candidates.append(f"{sampler.removesuffix('_karras')}_k")
    for name in candidates:
        if name in known:
            return name
    raise InvalidSpecError(
        f"the server does not draw with {sampler!r}; it has {', '.join(sorted(known))}",
        field="sampler",
    )


def samplers_of(known: Collection[str]) -> Samplers | None:
    """Return what a server draws with, by our names where there are such; None if it names none."""

    def reads(name: str) -> bool:
        try:
            find_scheduler(name, known)
        except InvalidSpecError:
            return False
        return True

    ours = (name for name in SCHEDULERS if reads(name))
    theirs = (name for name in sorted(known) if name not in SAMPLERS)
    return Samplers((*ours, *theirs), reads) if known else None
