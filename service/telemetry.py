"""Sends traces to an OpenTelemetry collector when one is configured."""

from collections.abc import Callable

from service.settings import Settings


def set_up(settings: Settings) -> Callable[[], None]:
    """Install the tracer if there is an endpoint; return what flushes and ends it."""
    if settings.otel_exporter_otlp_endpoint is None:
        return lambda: None
    # The exporter costs a third of a second to import, so only those pay who use it.
    from opentelemetry import trace  # noqa: PLC0415
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    endpoint = settings.otel_exporter_otlp_endpoint.rstrip("/") + "/v1/traces"
    provider = TracerProvider(resource=Resource.create({"service.name": "kitty-images"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    trace.set_tracer_provider(provider)
    return provider.shutdown
