"""Builds the GPUs and the way to llama.cpp from the settings; no I/O happens here."""

from collections.abc import Iterable, Mapping

from engines.registry import LOCAL_GPU
from scheduler.gpu import Gpu
from scheduler.lease import LlmPolicy, Rules
from scheduler.lock import DeviceLock, LockRules
from scheduler.memory import MemoryPolicy, MemoryRules
from scheduler.ports import Clock
from service.llm.proxy import Proxy, ProxyLimits
from service.llm.servers import Server, parse_servers
from service.settings import Settings, SettingsError


def build_gpus(settings: Settings, engines: Iterable[str], *, clock: Clock) -> Mapping[str, Gpu]:
    """Return every GPU that an engine or a llama.cpp server is on, by name.

    Raises:
        SettingsError: `LLAMA_SERVERS` or `REDIS_URL` is wrong.
    """
    servers = _servers(settings).values()
    names = dict.fromkeys([LOCAL_GPU, *engines, *(server.gpu for server in servers)])
    rules = Rules(
        policy=LlmPolicy(settings.llm_policy),
        patience_seconds=settings.llm_patience_seconds,
        images_share=settings.gpu_images_share,
        longest_slice_seconds=settings.gpu_images_slice_seconds,
    )
    memory = MemoryRules(
        policy=MemoryPolicy(settings.gpu_memory_policy), idle_seconds=settings.gpu_idle_seconds
    )
    return {
        name: Gpu(
            name,
            rules=rules,
            memory=memory,
            lock=_lock(settings, name),
            lock_rules=LockRules(required=settings.gpu_lock_required),
            clock=clock,
        )
        for name in names
    }


def build_proxy(settings: Settings, gpus: Mapping[str, Gpu]) -> Proxy:
    """Return the reverse proxy in front of the llama.cpp servers."""
    servers = _servers(settings)
    ours = {"cookie", "authorization"} if settings.api_token else {"cookie"}
    return Proxy(
        servers={name: server.url for name, server in servers.items()},
        desks={name: gpus[server.gpu].desk for name, server in servers.items()},
        limits=ProxyLimits(wait_seconds=settings.llm_wait_seconds),
        private=frozenset(ours),
    )


def _servers(settings: Settings) -> Mapping[str, Server]:
    try:
        return parse_servers(settings.llama_servers)
    except ValueError as error:
        raise SettingsError(f"LLAMA_SERVERS: {error}") from None


def _lock(settings: Settings, gpu: str) -> DeviceLock | None:
    """Return the lock that is shared with other processes, if there is a Redis to keep it.

    Raises:
        SettingsError: `REDIS_URL` is wrong.
    """
    if settings.redis_url is None:
        return None
    # Importing the client takes a while, so only those pay who use it.
    from service.gpu_lock import RedisLock  # noqa: PLC0415

    try:
        return RedisLock(url=settings.redis_url, gpu=gpu)
    except ValueError:
        # What the client says may quote a password.
        raise SettingsError("REDIS_URL: not like redis://:password@127.0.0.1:6379/0") from None
