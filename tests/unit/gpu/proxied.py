"""A scripted server with the proxy before it."""

from collections.abc import Awaitable, Callable

from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from yarl import URL

from scheduler.gpu import Gpu
from scheduler.lease import Tenant
from service.llm.proxy import Proxy, ProxyLimits
from service.middleware import translated

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Rig:
    """A scripted server, the proxy before it, and a client of the proxy."""

    def __init__(self, limits: ProxyLimits) -> None:
        self.gpu = Gpu()
        self.seen: list[web.Request] = []
        self.answer: Answer = self.echo
        self._limits = limits

    async def echo(self, request: web.Request) -> web.StreamResponse:
        return web.Response(body=await request.read())

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        return await self.answer(request)

    @property
    def held(self) -> bool:
        return self.gpu.leases.roll.holds(Tenant.LLM)

    async def start(self) -> None:
        upstream = web.Application(client_max_size=2**30)
        upstream.router.add_route("*", "/{path:.*}", self._serve)
        self.upstream = TestServer(upstream)
        await self.upstream.start_server()
        self.proxy = Proxy(
            servers={"q4": URL(str(self.upstream.make_url("")))},
            desks={"q4": self.gpu.desk},
            limits=self._limits,
            private=frozenset({"cookie"}),
        )
        await self.proxy.open()
        front = web.Application(middlewares=[translated])
        front.router.add_route("*", "/llm/{server}/{path:.*}", self.proxy.handle)
        # Unlike TestServer, and like the service, it does not cancel the calls of who leaves.
        self.front = web.AppRunner(front)
        await self.front.setup()
        site = web.TCPSite(self.front, "127.0.0.1", 0)
        await site.start()
        host, port = self.front.addresses[0]
        self.client = ClientSession(f"http://{host}:{port}")

    async def close(self) -> None:
        await self.client.close()
        for _ in range(2):
            await self.proxy.aclose()
        await self.front.cleanup()
        await self.upstream.close()
