"""Engines with models of their own, and a router to them."""

from collections.abc import Sequence

from typing_extensions import override

from engines.base import EngineName, Feature, ModelInfo, SizeBounds
from engines.config import EngineConfig, Profile
from engines.errors import EngineDownError
from engines.fake import FakeEngine
from engines.models import Models
from engines.registry import Built
from engines.router import Router, Standing


class Painter(FakeEngine):
    """A fake engine with models of its own; without any it does not answer."""

    def __init__(self, name: str, *models: ModelInfo) -> None:
        super().__init__(name=EngineName(name))
        self.has, self.gone = models, not models

    @override
    async def models(self) -> Sequence[ModelInfo]:
        if self.gone:
            raise EngineDownError("away")
        return self.has


SMALL = ModelInfo("small", aliases=("tiny",), bounds=SizeBounds(128, 256), refused_samplers=("p",))

BIG, BROKEN = ModelInfo("big"), ModelInfo("broken", error="cut off")


async def route(
    *engines: Painter,
    profiles: Sequence[Profile] = (),
    closed: frozenset[str] | None = None,
    load: dict[str, int] | None = None,
    weights: dict[str, float] | None = None,
    disable: tuple[Feature, ...] = (),
    models: Models | None = None,
) -> Router:
    built = {
        e.name: Built(
            e,
            EngineConfig(
                name=e.name, kind="fake", weight=(weights or {}).get(e.name, 1), disable=disable
            ),
            "local",
        )
        for e in engines
    }
    if models is None:
        models = Models({e.name: e for e in engines})
        await models.refresh()
    return Router(
        engines=built,
        default=engines[0].name,
        models=models,
        profiles=profiles,
        standing=lambda n: Standing(
            closed=closed is None or n in closed, load=(load or {}).get(n, 0)
        ),
    )
