"""Everything that can be set from outside, read once from the environment."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#@]+")
_URL = re.compile(r"https?://\S+")


def _is_address(text: str) -> str:
    """Return an address as it is; it may hold a password, so the refusal does not quote it."""
    if not _URL.fullmatch(text):
        raise ValueError("not an address like http://127.0.0.1:9090")
    return text


Url = Annotated[str, AfterValidator(_is_address)]


class SettingsError(Exception):
    """A setting is wrong; the message is one line and names it."""


class Settings(BaseSettings):
    """The settings; each is an environment variable of the same name in capitals.

    `ops/settings.env.example` says what they are for.
    """

    model_config = SettingsConfigDict(
        frozen=True, env_ignore_empty=True, extra="ignore", allow_inf_nan=False
    )

    service_host: str = "127.0.0.1"
    service_port: int = Field(default=8089, ge=0, le=65535)
    public_url: Url | None = None
    data_dir: Path = Path.home() / ".kitty-images"
    models_dir: Path | None = None
    config_file: Path | None = None

    api_token: SecretStr | None = None
    open_networks: Annotated[tuple[str, ...], NoDecode] = ()
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = ()
    max_body_mb: float = Field(default=8.0, gt=0)
    images_enabled: bool = True
    status_words: Literal["guide", "kitty"] = "guide"

    image_engine: str = ""
    engine_base_url: Url | None = None
    comfy_base_url: Url | None = None
    comfy_workflow_json: Path | None = None
    a1111_base_url: Url | None = None
    a1111_auth: SecretStr | None = None
    device: Literal["auto", "cpu", "mps", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "fp16", "bf16"] = "auto"
    batch: int | None = Field(default=None, ge=1, le=64)
    threads: int | None = Field(default=None, ge=1)
    model_memory_gib: float | None = Field(default=None, gt=0)
    tile_pixels: int | None = Field(default=None, ge=65_536)
    preview_seconds: float = Field(default=0.5, ge=0)
    snapshot_seconds: float = Field(default=15.0, ge=0)
    allow_hub: bool = False
    warm_up: bool | None = None
    fake_step_seconds: float = Field(default=0.0, ge=0)

    s3_endpoint_url: Url | None = None
    s3_public_endpoint_url: Url | None = None
    s3_bucket: str = Field(default="kitty-artifacts", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{1,62}$")
    s3_region: str = "us-east-1"
    s3_access_key: SecretStr | None = None
    s3_secret_key: SecretStr | None = None
    s3_prefix: str = "images/"
    link_seconds: int = Field(default=86_400, gt=0, le=604_800)

    llama_servers: str = ""
    llm_policy: Literal["wait", "interrupt"] = "wait"
    llm_patience_seconds: float = Field(default=10.0, ge=0)
    llm_wait_seconds: float = Field(default=300.0, gt=0)
    gpu_images_share: float = Field(default=0.10, ge=0, le=0.9)
    gpu_images_slice_seconds: float = Field(default=10.0, ge=1, le=3600)
    gpu_memory_policy: Literal["keep", "idle", "always"] = "keep"
    gpu_idle_seconds: float = Field(default=300.0, gt=0)
    gpu_lock_required: bool = False
    redis_url: Annotated[str, Field(pattern=r"^(rediss?|unix)://\S+$")] | None = None

    queue_max: int = Field(default=200_000, gt=0)
    highres_cost: float = Field(default=64.0, gt=0)
    shutdown_grace_seconds: float = Field(default=1.0, ge=0)

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "text"] = "text"
    otel_exporter_otlp_endpoint: Url | None = None

    @field_validator("open_networks", "allowed_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """Read a comma-separated list."""
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("data_dir", "models_dir", "config_file", "comfy_workflow_json")
    @classmethod
    def _home(cls, value: Path | None) -> Path | None:
        """Read ~ as shells do; files of settings are not read by one."""
        return value.expanduser() if value else None

    @field_validator("models_dir")
    @classmethod
    def _folder(cls, value: Path | None) -> Path | None:
        """Check that it is there: without it the models of another place would draw."""
        if value is not None and not value.is_dir():
            raise ValueError(f"there is no folder {value}")
        return value

    @field_validator("comfy_workflow_json")
    @classmethod
    def _file(cls, value: Path | None) -> Path | None:
        """Check that it is there, before the first picture asks for it."""
        if value is not None and not value.is_file():
            raise ValueError(f"there is no file {value}")
        return value

    @field_validator("api_token")
    @classmethod
    def _sendable(cls, value: SecretStr | None) -> SecretStr | None:
        """Check that callers can send it: HTTP takes blanks off the ends of a header."""
        token = value.get_secret_value() if value else ""
        if token != token.strip() or not token.isprintable():
            raise ValueError("a token has no blanks at its ends, and no control characters")
        return value

    @field_validator("open_networks")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Check that each is a network such as 192.168.1.0/24."""
        for part in value:
            ipaddress.ip_network(part)
        return value

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Write each as browsers do: without a slash at its end, in small letters."""
        origins = tuple(part.rstrip("/").lower() for part in value)
        for origin in origins:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is not like http://studio.local:4173")
        return origins

    @property
    def bucket_folder(self) -> Path:
        """Where pictures lie when no S3 is set."""
        return self.data_dir / "kitty-artifacts"


def read_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        SettingsError: one of them is wrong.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0]).upper() if first["loc"] else "settings"
        raise SettingsError(f"{name}: {first['msg'].removeprefix('Value error, ')}") from None
    if settings.s3_endpoint_url and not (settings.s3_access_key and settings.s3_secret_key):
        raise SettingsError("S3_ACCESS_KEY: needed together with S3_SECRET_KEY and S3_ENDPOINT_URL")
    return settings
