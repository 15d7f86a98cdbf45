"""Traces reach a collector: the request, and the job that points back at it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.journey.running import Service, client_of


@asynccontextmanager
async def collector() -> AsyncIterator[tuple[str, dict[str, Span]]]:
    """Take in spans over OTLP; yield the address and the spans by name."""
    spans: dict[str, Span] = {}

    async def take(request: web.Request) -> web.Response:
        message = ExportTraceServiceRequest.FromString(await request.read())
        for resource in message.resource_spans:
            for scope in resource.scope_spans:
                spans.update({span.name: span for span in scope.spans})
        return web.Response(content_type="application/x-protobuf")

    app = web.Application()
    app.router.add_post("/v1/traces", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", spans
    finally:
        await runner.cleanup()


async def test_a_request_s_trace_leads_to_its_job(tmp_path: Path) -> None:
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    async with collector() as (url, spans):
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": url}
        async with Service(tmp_path, **settings) as service:
            caller = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}
            async with client_of(service, **caller) as client:
                job = await client.draw()
            assert await service.end() == 0
    request = spans["POST /api/images/generate"]
    assert request.trace_id.hex() == trace_id
    span = spans["job"]
    assert [link.span_id for link in span.links] == [request.span_id]
    assert span.trace_id != request.trace_id
    assert {a.key: a.value.string_value for a in span.attributes}["job.id"] == job["job_id"]
    for name in ("engine", "store"):
        assert spans[name].parent_span_id == span.span_id


async def test_a_trace_tells_for_how_long_a_chat_kept_a_picture_waiting(tmp_path: Path) -> None:
    async with collector() as (url, spans):
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "FAKE_STEP_SECONDS": "0.01"}
        async with Service(tmp_path, **settings) as service, client_of(service) as client:
            job_id = (await client.submit(steps=50))["job_id"]
            await client.drawing(job_id)
            chat = {"class": "llm", "holder": "a chat", "ttl_seconds": 0.3}
            assert (await client.json("POST", "/api/gpu/leases", json=chat))[0] == 201
            await client.ended(job_id)
            assert await service.end() == 0
    said = {a.key: a.value.double_value for a in spans["engine"].attributes}
    assert said["parked_seconds"] > 0.1
