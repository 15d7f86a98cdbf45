"""The engines that stand trial, and what the trial must be able to do to each.

`BENCHES` names for every engine a module with `make(folder)`, an async context manager that
yields a `Bench`. Modules are imported when their engine's turn comes, so that one that cannot be
imported fails its own tests and no others.
"""

import importlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from engines.base import Engine
from engines.spec import GenerationSpec
from tests.fakes.stage import Stage

BENCHES = {
    "a1111": "tests.contract.bench_a1111",
    "invokeai": "tests.contract.bench_invokeai",
    "comfyui": "tests.contract.bench_comfyui",
    "comfyui-older": "tests.contract.bench_comfyui_older",
    "fake": "tests.contract.bench_fake",
    "diffusers": "tests.contract.bench_diffusers",
}
HTTP = ("a1111", "invokeai", "comfyui", "comfyui-older")
"""Those that draw on a server, which may be lost."""

SPEC = GenerationSpec(
    prompt="a lighthouse",
    model="tiny",
    width=64,
    height=48,
    steps=6,
    cfg=7.0,
    seed=41,
    sampler="euler",
)
"""A small picture, as most of them draw it."""

HTTP_CODES = (
    "model_not_found",
    "out_of_memory",
    "invalid_spec",
    "engine_down",
    "engine_timeout",
    "bad_picture",
)
CODES = {
    **dict.fromkeys((*HTTP, "fake"), HTTP_CODES),
    "diffusers": ("model_not_found", "out_of_memory", "invalid_spec", "bad_picture"),
}
"""How each engine can fail."""


class Server(Protocol):
    """A fake server: its stage, and its switch."""

    @property
    def stage(self) -> Stage:
        """What it is told to do and has done."""

    async def stop(self) -> None:
        """Refuse connections from now on, and cut those that are open."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """A drawing that must fail.

    Attributes:
        spec: What to ask for.
        words: What the engine itself says of it; must be part of the error's detail.
        engine: Whom to ask; None is the bench's own.
    """

    spec: GenerationSpec
    words: str
    engine: Engine | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """An engine on trial.

    Attributes:
        spec: A small picture of several steps that it draws without shortfalls.
        provoke: Arranges that the drawing it returns fails with the given code.
        busy: Whether a drawing is going on.
        restarted: Makes another engine on the same server, as after a restart of ours.
        server: What an HTTP engine talks to.
        unhonoured: A field of the spec → a spec in which that field cannot be honoured, but all
            else can.
    """

    engine: Engine
    spec: GenerationSpec
    provoke: Callable[[str], Awaitable[Trouble]]
    busy: Callable[[], bool]
    restarted: Callable[[], Engine] | None = None
    server: Server | None = None
    unhonoured: Mapping[str, GenerationSpec] = field(default_factory=dict)


def open_bench(name: str, folder: Path) -> AbstractAsyncContextManager[Bench]:
    """Set up the named engine; `folder` is empty and its own."""
    module = importlib.import_module(BENCHES[name])
    bench: AbstractAsyncContextManager[Bench] = module.make(folder)
    return bench
