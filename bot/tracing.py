"""OpenTelemetry traces, where an exporter is configured: from a press over the queue to the last chunk.

The environment says where to, as OpenTelemetry has it: OTEL_EXPORTER_OTLP_ENDPOINT, and what else its SDK
reads. Without it nothing of OpenTelemetry is imported, and nothing here does anything. No attribute has a
value of a row, nor an error's words: names of copies, tables' sizes, classes of errors.

The context travels in the options of the queue's message. A job that is found by its row has none, as the row
is the truth and the message only a hint: its trace begins with itself.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from enum import StrEnum
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

log = logging.getLogger(__name__)

#: The variables of which one has to be there.
ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
#: So long an end waits for the exporter, in seconds.
END_SECONDS = 3.0

Attribute = str | int | float | bool
#: What a message of the queue carries of the trace that it was sent in.
Carrier = dict[str, str]


class SpanKind(StrEnum):
    """What a span is to another process, by OpenTelemetry's names."""

    INTERNAL = "INTERNAL"
    SERVER = "SERVER"
    CLIENT = "CLIENT"
    PRODUCER = "PRODUCER"
    CONSUMER = "CONSUMER"


_provider: TracerProvider | None = None
_tracer: Tracer | None = None
_received: ContextVar[Mapping[str, str] | None] = ContextVar("received", default=None)


def are_wanted() -> bool:
    """Whether the environment names an exporter."""
    off = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    none = os.environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none"
    return any(os.environ.get(name, "").strip() for name in ENDPOINTS) and not off and not none


def begin(process: str) -> None:
    """Sends what `span` makes from now on, where that is wanted. Called after the process's fork."""
    global _provider, _tracer  # noqa: PLW0603 - one for the process
    if _provider is not None or not are_wanted():
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    of_its_own: dict[str, str | int] = {"service.version": version("traspaso"), "process.pid": os.getpid()}
    if not os.environ.get("OTEL_SERVICE_NAME"):
        of_its_own["service.name"] = f"traspaso-{process}"
    _provider = TracerProvider(resource=Resource.create(of_its_own), shutdown_on_exit=False)
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _tracer = _provider.get_tracer("traspaso", version("traspaso"))


def end() -> None:
    """Sends what is left, if the exporter takes it soon."""
    global _provider, _tracer
    provider, _provider, _tracer = _provider, None, None
    if provider is not None:
        last = threading.Thread(target=provider.shutdown, name="traces-end", daemon=True)
        last.start()
        last.join(END_SECONDS)


@contextmanager
def span(
    name: str, kind: SpanKind = SpanKind.INTERNAL, *, linked: bool = False, **attributes: Attribute | None
) -> Iterator[None]:
    """A span around what is done inside. One that fails says so by the class of the error.

    ``linked``: it begins a trace of its own, with a link to where the message came from that is in hand.
    """
    if _tracer is None:
        yield
        return
    from opentelemetry import propagate, trace
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, SpanKind, Status, StatusCode

    links = []
    if linked and (carried := _received.get()):
        sent = trace.get_current_span(propagate.extract(carried, Context())).get_span_context()
        links = [Link(sent)] if sent.is_valid else []
    with _tracer.start_as_current_span(
        name,
        context=Context() if linked else None,
        kind=SpanKind[kind.value],
        attributes={_named(key): value for key, value in attributes.items() if value is not None},
        links=links,
        record_exception=False,
        set_status_on_exception=False,
    ) as current:
        try:
            yield
        except BaseException as error:
            current.set_attribute("error.type", type(error).__qualname__)
            current.set_status(Status(StatusCode.ERROR))
            raise


def note(**attributes: Attribute) -> None:
    """Adds what is known by now to the span in whose block this is called."""
    if _tracer is None:
        return
    from opentelemetry import trace

    trace.get_current_span().set_attributes({_named(key): value for key, value in attributes.items()})


def carrier() -> Carrier:
    """What a message is to carry; empty where nothing is traced."""
    found: Carrier = {}
    if _tracer is not None:
        from opentelemetry import propagate

        propagate.inject(found)
    return found


def received(carried: object) -> None:
    """The message that this thread has in hand carries this; None where it has none any more."""
    is_ours = isinstance(carried, dict) and all(
        isinstance(each, str) for pair in carried.items() for each in pair
    )
    _received.set(carried if is_ours else None)  # type: ignore[arg-type]


class HandingOn(ThreadPoolExecutor):
    """Its work runs in the context of whoever submits it, so that its spans and log lines belong there."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        return super().submit(copy_context().run, fn, *args, **kwargs)


def _named(key: str) -> str:
    """Names of OpenTelemetry's own, written with __ for the dot; ours begin with ``traspaso.``."""
    return key.replace("__", ".") if "__" in key else f"traspaso.{key}"
