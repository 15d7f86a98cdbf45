"""Which headers pass between a client and a llama.cpp server."""

from multidict import CIMultiDict, CIMultiDictProxy

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""They speak of one connection only (RFC 9110, section 7.6.1)."""

_OURS = frozenset({"host", "content-length", "expect"})
"""They are set anew for the next connection."""

_DETACHING = frozenset({"x-conversation-id"})
"""With it llama.cpp goes on with a reply whose reader has left, when the GPU is not its own."""

_UNPACKED = frozenset({"gzip", "deflate", "br", "zstd"})
"""Bodies packed in one of these ways are unpacked as they are read."""


def for_server(headers: CIMultiDictProxy[str], *, drop: frozenset[str]) -> CIMultiDict[str]:
    """Return what a request carries on to the server; `drop` are further names, lower case."""
    unpacked = headers.get("Content-Encoding", "").lower() in _UNPACKED
    packing = frozenset({"content-encoding"} if unpacked else ())
    return _passing(headers, _HOP_BY_HOP | _OURS | _DETACHING | drop | packing)


def for_client(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """Return what an answer carries back to the client.

    To which sites' pages it may be shown is not the server's to say: llama.cpp's says "all".
    """
    shared = {name.lower() for name in headers if name.lower().startswith("access-control-")}
    return _passing(headers, _HOP_BY_HOP | {"server", "date"} | shared)


def _passing(headers: CIMultiDictProxy[str], dropped: frozenset[str]) -> CIMultiDict[str]:
    named = headers.getall("Connection", [])
    dropped |= {name.strip().lower() for value in named for name in value.split(",")}
    # The client's session keeps only the last of those that are spelled in different ways.
    spelled: dict[str, str] = {}
    return CIMultiDict(
        (spelled.setdefault(name.lower(), name), value)
        for name, value in headers.items()
        if name.lower() not in dropped
    )
