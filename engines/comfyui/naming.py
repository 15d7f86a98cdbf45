"""From the names that people use to those that a ComfyUI server compares letter by letter."""

import difflib
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final, NamedTuple

from engines.errors import InvalidSpecError, ModelNotFoundError
from engines.samplers import Samplers

_SHOWN = 8
_KARRAS = "_karras"


class Method(NamedTuple):
    """How steps are taken: two names here, where most others have one."""

    sampler: str
    scheduler: str


METHODS: Final = {
    "euler": Method("euler", "normal"),
    "euler_a": Method("euler_ancestral", "normal"),
    "ddim": Method("ddim", "ddim_uniform"),
    "dpmpp_2m": Method("dpmpp_2m", "normal"),
    "dpmpp_2m_karras": Method("dpmpp_2m", "karras"),
    "dpmpp_sde": Method("dpmpp_sde", "normal"),
    "unipc": Method("uni_pc", "normal"),
    "lcm": Method("lcm", "sgm_uniform"),
    "heun": Method("heun", "normal"),
}
"""Our samplers in the server's words."""


def find_method(wanted: str, samplers: Sequence[str], schedulers: Sequence[str]) -> Method:
    """Translate a sampler, ours or the server's own as `sampler` or `sampler/scheduler`.

    `…_karras` is read as `…/karras`.

    Raises:
        InvalidSpecError: the server does not have it.
    """
    method = METHODS.get(wanted)
    if method is None:
        sampler, _, scheduler = wanted.partition("/")
        if not scheduler and sampler.endswith(_KARRAS):
            sampler, scheduler = sampler.removesuffix(_KARRAS), "karras"
        known = METHODS.get(sampler)
        method = Method(known.sampler if known else sampler, scheduler or "normal")
    for name, names in zip(method, (samplers, schedulers), strict=True):
        if name not in names:
            raise InvalidSpecError(
                f"the server does not draw with {name!r}{_nearest(name, names)}", field="sampler"
            )
    return method


def samplers_of(samplers: Sequence[str], schedulers: Sequence[str]) -> Samplers:
    """Return what a server draws with: our names for it, then its own."""

    def reads(name: str) -> bool:
        try:
            find_method(name, samplers, schedulers)
        except InvalidSpecError:
            return False
        return True

    ours = [name for name in METHODS if reads(name)]
    theirs = [name for name in samplers if name not in ours]
    return Samplers((*ours, *theirs), reads)


def find_file(wanted: str, files: Sequence[str], *, what: str, field: str) -> str:
    """Return the one of the server's `files` that `wanted` means.

    A file may be named in full, without its folder, without its ending, and in any case; the
    most literal reading that fits wins.

    Raises:
        ModelNotFoundError: none fits, or several do.
    """
    for reading in (str, _slashed, _stem, _base, _base_stem):
        found = [file for file in files if reading(file) == reading(wanted)]
        if len(found) == 1:
            return found[0]
        if found:
            raise ModelNotFoundError(
                f"{what} {wanted!r} may be any of {_listed(found)}", field=field
            )
    raise ModelNotFoundError(
        f"the server has no {what} {wanted!r}{_nearest(wanted, files)}", field=field
    )


def aliases_of(file: str) -> tuple[str, ...]:
    """Return what else a file may be called: without its ending, without its folder."""
    path = PurePosixPath(file.replace("\\", "/"))
    names = (str(path.with_suffix("")), path.name, path.stem)
    return tuple(dict.fromkeys(name for name in names if name != file))


def _slashed(name: str) -> str:
    return name.replace("\\", "/").casefold()


def _stem(name: str) -> str:
    slashed = _slashed(name)
    root, dot, ending = slashed.rpartition(".")
    return root if dot and ending in _ENDINGS else slashed


def _base(name: str) -> str:
    return _slashed(name).rpartition("/")[2]


def _base_stem(name: str) -> str:
    return _stem(_base(name))


_ENDINGS = frozenset({"safetensors", "ckpt", "pt", "pt2", "pth", "bin", "sft", "gguf", "pkl"})


def _nearest(wanted: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(wanted, known, n=3, cutoff=0.4)
    return f"; near it: {_listed(near)}" if near else f"; it has {_listed(known)}"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return (shown or "none") + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
