"""Who needs no token."""

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from service.middleware import guard
from service.problems import RequestError
from service.settings import Settings


async def let_in(remote: str, networks: str) -> bool:
    """Say whether a caller at an address is let in without a token."""

    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response()

    settings = Settings.model_validate({"api_token": "secret", "open_networks": networks})
    request = make_mocked_request("GET", "/api/images/latest", headers={"Host": "studio"})
    try:
        await guard(settings)(request.clone(remote=remote), handler)
    except RequestError as error:
        return error.code != "unauthorised"
    return True


@pytest.mark.parametrize(
    ("remote", "networks", "expected"),
    [
        ("192.168.1.5", "192.168.1.0/24", True),
        ("::ffff:192.168.1.5", "192.168.1.0/24", True),
        ("::ffff:c0a8:105", "10.0.0.0/8,192.168.1.5/32", True),
        ("::ffff:192.168.2.5", "192.168.1.0/24", False),
        ("192.168.2.5", "192.168.1.0/24", False),
        ("fd00::5", "fd00::/8", True),
        ("fd00::5", "192.168.1.0/24", False),
        ("::c0a8:105", "192.168.1.0/24", False),
        ("", "0.0.0.0/0", False),
        ("unix:", "0.0.0.0/0", False),
    ],
)
async def test_only_the_named_networks_need_no_token(
    remote: str, networks: str, expected: bool
) -> None:
    assert await let_in(remote, networks) is expected
