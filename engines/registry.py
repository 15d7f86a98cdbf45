"""Builds the engines that are configured; the only file that knows them all."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from engines.base import Engine, EngineName
from engines.fake import FakeEngine
from engines.inputs import Inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """Where the engines are; an engine without an address is not built.

    Attributes:
        default: `IMAGE_ENGINE`; empty chooses the in-process engine where torch is installed.
        a1111_auth: `user:password` for HTTP Basic, empty without.
    """

    default: str
    models_dir: Path
    data_dir: Path
    invokeai_url: str | None = None
    comfyui_url: str | None = None
    comfyui_workflow: Path | None = None
    a1111_url: str | None = None
    a1111_auth: str = ""
    device: Literal["auto", "cpu", "mps", "cuda"] = "auto"
    fake_step_seconds: float = 0.0


def has_diffusers() -> bool:
    """Say whether the extra `diffusers` is installed; nothing is imported."""
    return find_spec("torch") is not None and find_spec("diffusers") is not None


def default_engine(settings: EngineSettings) -> EngineName:
    """Return the engine that draws when a request names neither engine nor model."""
    if settings.default:
        return EngineName(settings.default.lower())
    return EngineName("diffusers" if has_diffusers() else "fake")


def build_engines(settings: EngineSettings, *, inputs: Inputs) -> Mapping[EngineName, Engine]:
    """Build every engine that is configured, without any I/O."""
    engines: dict[EngineName, Engine] = {}
    if has_diffusers():
        from engines.diffusers.engine import DiffusersEngine  # noqa: PLC0415

        name = EngineName("diffusers")
        engines[name] = DiffusersEngine(
            name=name,
            models_dir=settings.models_dir,
            data_dir=settings.data_dir,
            inputs=inputs,
            device=settings.device,
        )
    fake = FakeEngine(step_seconds=settings.fake_step_seconds)
    engines[fake.name] = fake
    return engines
