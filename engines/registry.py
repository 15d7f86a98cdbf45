"""Builds the engines that are configured; the only file that knows them all."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from engines.base import Engine, EngineName
from engines.config import Config, EngineConfig, Kind
from engines.diffusers.settings import DiffusersSettings
from engines.fake import FakeEngine
from engines.inputs import Inputs

LOCAL_GPU = "local"
_LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1", "host.docker.internal")
_Make = Callable[[EngineConfig, "EngineSettings", Inputs], Engine]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """What the environment says about engines; an engine without an address is not built.

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
    diffusers: DiffusersSettings = field(default_factory=DiffusersSettings)
    fake_step_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Built:
    """An engine and how it was configured; `gpu` is the name of the GPU that it draws on."""

    engine: Engine
    config: EngineConfig
    gpu: str


def has_diffusers() -> bool:
    """Say whether the extra `diffusers` is installed; nothing is imported."""
    return find_spec("torch") is not None and find_spec("diffusers") is not None


def default_engine(settings: EngineSettings) -> EngineName:
    """Return the engine that draws when a request names neither engine nor model."""
    if settings.default:
        return EngineName(settings.default.lower())
    return EngineName("diffusers" if has_diffusers() else "fake")


def build_engines(
    settings: EngineSettings, config: Config, *, inputs: Inputs
) -> Mapping[EngineName, Built]:
    """Build every engine that environment or file configure, without any I/O."""
    wanted = {engine.name: engine for engine in (*_usual(settings), *config.engines)}
    return {
        EngineName(name): Built(_MAKERS[one.kind](one, settings, inputs), one, _gpu(one))
        for name, one in wanted.items()
    }


def _usual(settings: EngineSettings) -> list[EngineConfig]:
    """Return the engines that the environment configures, each under the name of its kind."""
    urls: dict[Kind, str | None] = {
        "invokeai": settings.invokeai_url,
        "comfyui": settings.comfyui_url,
        "a1111": settings.a1111_url,
    }
    engines = [EngineConfig(name=kind, kind=kind, url=url) for kind, url in urls.items() if url]
    if has_diffusers():
        engines.insert(0, EngineConfig(name="diffusers", kind="diffusers"))
    return [*engines, EngineConfig(name="fake", kind="fake")]


def _gpu(config: EngineConfig) -> str:
    """Return the name of the GPU that an engine draws on."""
    return config.gpu or gpu_of(config.url)


def gpu_of(url: str | None) -> str:
    """Return the name of the GPU that a server is taken to be on: this machine's, or its host's."""
    host = urlsplit(url).hostname if url else None
    return LOCAL_GPU if host is None or host in _LOCAL_HOSTS else host


def _diffusers(config: EngineConfig, settings: EngineSettings, inputs: Inputs) -> Engine:
    from engines.diffusers.engine import DiffusersEngine  # noqa: PLC0415 - only who uses it pays

    return DiffusersEngine(
        name=EngineName(config.name),
        models_dir=settings.models_dir,
        data_dir=settings.data_dir,
        inputs=inputs,
        device=settings.device,
        settings=settings.diffusers,
    )


def _fake(config: EngineConfig, settings: EngineSettings, _: Inputs) -> Engine:
    return FakeEngine(
        name=EngineName(config.name),
        step_seconds=config.step_seconds or settings.fake_step_seconds,
        preemption=config.preemption,
    )


def _invokeai(config: EngineConfig, _: EngineSettings, inputs: Inputs) -> Engine:
    from engines.invokeai.engine import InvokeAiEngine  # noqa: PLC0415 - only who uses it pays

    return InvokeAiEngine(
        name=EngineName(config.name),
        base_url=config.url or "",
        inputs=inputs,
        credentials=_credentials(config.auth),
        board=config.board,
    )


def _comfyui(config: EngineConfig, settings: EngineSettings, inputs: Inputs) -> Engine:
    from engines.comfyui.engine import ComfyUiEngine  # noqa: PLC0415 - only who uses it pays

    return ComfyUiEngine(
        name=EngineName(config.name),
        base_url=config.url or "",
        inputs=inputs,
        workflow=config.workflow or settings.comfyui_workflow,
        workflows_dir=config.workflows_dir,
    )


def _a1111(config: EngineConfig, settings: EngineSettings, inputs: Inputs) -> Engine:
    from engines.a1111.engine import A1111Engine  # noqa: PLC0415 - only who uses it pays

    return A1111Engine(
        name=EngineName(config.name),
        base_url=config.url or "",
        inputs=inputs,
        auth=_credentials(config.auth or settings.a1111_auth),
    )


def _credentials(text: str) -> tuple[str, str] | None:
    """Split `user:password`."""
    user, _, password = text.partition(":")
    return (user, password) if user else None


_MAKERS: dict[Kind, _Make] = {
    "diffusers": _diffusers,
    "fake": _fake,
    "invokeai": _invokeai,
    "comfyui": _comfyui,
    "a1111": _a1111,
}
