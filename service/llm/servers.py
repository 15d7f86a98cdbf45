"""Which llama.cpp servers can be reached, and which of their calls need the GPU."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from yarl import URL

from engines.registry import gpu_of
from service.problems import RequestError

_NAME = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]{0,63})(?:@(?P<gpu>[A-Za-z0-9][\w.-]{0,63}))?")
_READING = ("GET", "HEAD", "OPTIONS")
_LIGHT = frozenset(
    {
        # They count or split text.
        "/tokenize",
        "/detokenize",
        "/apply-template",
        "/chat/completions/input_tokens",
        "/v1/chat/completions/input_tokens",
        "/responses/input_tokens",
        "/v1/messages/count_tokens",
        "/v1/responses/input_tokens",
        # They speak of replies that are on their way, and must not wait for the end of these.
        "/v1/chat/completions/control",
        "/v1/stream",
        "/v1/streams/lookup",
    }
)


@dataclass(frozen=True, slots=True)
class Server:
    """A llama.cpp server and the name of the GPU that it works on."""

    url: URL
    gpu: str


def parse_servers(text: str) -> Mapping[str, Server]:
    """Read `name=http://host:port,…`; `name@gpu=…` says that it is on another GPU.

    Raises:
        ValueError: an entry is not of that form, or a name comes twice.
    """
    servers: dict[str, Server] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        label, _, address = part.partition("=")
        url, named = URL(address.strip()), _NAME.fullmatch(label)
        if named is None or url.scheme not in ("http", "https") or not url.host:
            raise ValueError(f"{part!r} is not name=http://host:port")
        name = named["name"]
        if url.query_string or url.fragment:
            raise ValueError(f"{part!r} has more than an address and a path")
        if name in servers:
            raise ValueError(f"{name!r} comes twice")
        servers[name] = Server(url, named["gpu"] or gpu_of(str(url)))
    return servers


def needs_gpu(method: str, path: str) -> bool:
    """Say whether a call makes the model work; what only reads or splits text does not.

    Read off llama.cpp's server: every GET describes, and the calls above need no model on the
    device. What we do not know is taken for work.
    """
    return method not in _READING and path.rstrip("/") not in _LIGHT


def path_on_server(raw_path: str) -> str:
    """Return what follows `/llm/{server}/`, exactly as it came.

    Raises:
        RequestError: it leads upwards.
    """
    path = raw_path.split("/", 3)[3]
    if ".." in unquote(path).split("/"):
        raise RequestError("the path leads upwards", code="no_such_path", status=404)
    return path


def target(server: URL, raw_path: str, raw_query: str) -> URL:
    """Return the address of a call on a server, its path and query exactly as they came."""
    base = str(server).rstrip("/")
    query = f"?{raw_query}" if raw_query else ""
    return URL(f"{base}/{raw_path}{query}", encoded=True)
