"""The file that names several engines, their GPUs, and profiles (`CONFIG_FILE`, TOML)."""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from engines.base import Feature

Kind = Literal["invokeai", "comfyui", "a1111", "diffusers", "fake"]
_SERVERS = ("invokeai", "comfyui", "a1111")
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class ConfigError(Exception):
    """The file is wrong; the message is one line and names the place."""


class _Table(BaseModel):
    """A table of the file: unknown keys are refused, since a typo would be silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class EngineConfig(_Table):
    """One `[[engines]]`.

    Attributes:
        gpu: Which GPU it draws on. By default `local` for an address of this machine, else the
            address's host.
        weight: How much of the work it takes where several engines have the model.
        disable: Features that it has but is not to be asked for.
    """

    name: Name
    kind: Kind
    url: Annotated[str, Field(pattern=r"^https?://[^\s]+$")] | None = None
    gpu: Name | None = None
    weight: Annotated[float, Field(gt=0)] = 1.0
    disable: tuple[Feature, ...] = ()
    auth: str = ""
    workflow: Path | None = None
    workflows_dir: Path | None = None
    board: str | None = None
    step_seconds: Annotated[float, Field(ge=0)] = 0.0
    preemption: Literal["step", "job"] = "step"

    @model_validator(mode="after")
    def _address(self) -> Self:
        """Refuse a server without an address: it would be down for ever."""
        if self.kind in _SERVERS and self.url is None:
            raise ValueError(f"an engine of kind {self.kind} needs a url")
        return self


class Profile(_Table):
    """One `[[profiles]]`: a named route with defaults; the request's own values win.

    Attributes:
        when: Regular expressions; with `profile: auto` the first profile is taken of which one
            is found in the prompt (case does not matter).
        prefix: Put before the prompt, as `suffix` is put behind it.
    """

    name: Name
    engine: Name | None = None
    model: str | None = None
    width: int | None = None
    height: int | None = None
    steps: int | None = None
    cfg: float | None = None
    sampler: str | None = None
    negative_prompt: str | None = None
    prefix: str = ""
    suffix: str = ""
    when: tuple[str, ...] = ()

    def matches(self, prompt: str) -> bool:
        """Say whether one of the rules is found in the prompt."""
        return any(re.search(rule, prompt, re.IGNORECASE) for rule in self.when)


class Config(_Table):
    """The whole file."""

    engines: tuple[EngineConfig, ...] = ()
    profiles: tuple[Profile, ...] = ()


def read_config(path: Path | None) -> Config:
    """Read the file; without one, nothing is configured by it.

    Raises:
        ConfigError: it cannot be read, or something in it is wrong.
    """
    if path is None:
        return Config()
    try:
        config = Config.model_validate(tomllib.loads(path.read_text()))
        for profile in config.profiles:
            for rule in profile.when:
                re.compile(rule)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{path}: {place}: {first['msg']}") from None
    except re.error as error:
        raise ConfigError(f"{path}: profiles: a rule is no regular expression: {error}") from None
    _refuse_doubles(path, [engine.name for engine in config.engines], "engines")
    _refuse_doubles(path, [profile.name for profile in config.profiles], "profiles")
    return config


def _refuse_doubles(path: Path, names: list[str], table: str) -> None:
    """Refuse two of the same name."""
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{path}: {table}: {name} is there twice")
