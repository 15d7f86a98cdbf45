"""Which llama.cpp servers there are, and which of their calls make a model work."""

import pytest

from service.llm.servers import needs_gpu, parse_servers, target


def test_which_calls_make_a_model_work() -> None:
    light = [("GET", "/health"), ("GET", "/props"), ("GET", "/v1/models"), ("POST", "/tokenize")]
    light += [("POST", "/v1/messages/count_tokens"), ("POST", "/v1/responses/input_tokens")]
    light += [("POST", "/v1/chat/completions/control"), ("DELETE", "/v1/stream")]
    assert not any(needs_gpu(method, path) for method, path in light)
    heavy = ["/v1/chat/completions", "/completion", "/embedding", "/rerank", "/something/new"]
    assert all(needs_gpu("POST", path) for path in heavy)


def test_servers_and_their_gpus() -> None:
    servers = parse_servers("q4=http://127.0.0.1:8083, far=http://h:1/base ,x@b=https://h:2")
    assert {name: server.gpu for name, server in servers.items()} == {
        "q4": "local",
        "far": "h",
        "x": "b",
    }
    assert str(target(servers["far"].url, "v1/models", "a=b")) == "http://h:1/base/v1/models?a=b"


@pytest.mark.parametrize(
    "wrong", ["q4", "q4=", "q4=ftp://h", "=http://h", "a b=http://h", "a=http://h,a=http://h",
              "a=http://h/?x=1"]
)  # fmt: skip
def test_what_is_no_server_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"not name=|more than|twice"):
        parse_servers(wrong)
