"""Who wants no traces pays nothing for them, and who wants some gets no value in them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bot import tracing
from bot.app import payload_name

PROGRAM = """
import sys
import bot.__main__, bot.worker
from bot import metrics, tracing
tracing.begin("bot")
with tracing.span("nothing", tracing.SpanKind.SERVER, linked=True, rows=1):
    tracing.note(rows=2)
    assert tracing.carrier() == {}
metrics.slack_called("chat.update", "ok", 0.1)
# The client of Redis itself loads OpenTelemetry's metrics wherever they are installed.
wanted = {"opentelemetry.exporter", "opentelemetry.sdk.trace", "prometheus_client", "structlog"}
print(sorted(wanted & set(sys.modules)))
"""


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_TRACES_EXPORTER": "none"},
    ],
    ids=str,
)
def test_nothing_is_loaded_by_who_wants_neither_traces_nor_metrics(environment: dict[str, str]) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        env={**clean, **environment},
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, "[]\n"), ended.stderr


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"command": "/copy-liquidation", "text": "42 of Ana"}, "command /copy-liquidation"),
        (
            {"type": "block_actions", "actions": [{"action_id": "job.cancel", "value": "42"}]},
            "press job.cancel",
        ),
        ({"type": "block_actions"}, "press "),
        ({"type": "view_submission", "view": {"callback_id": "job.reject"}}, "view_submission job.reject"),
        ({"type": "event_callback", "event": {"type": "app_home_opened"}}, "event app_home_opened"),
        ({}, "payload"),
    ],
    ids=str,
)
def test_a_payload_is_named_by_what_was_done_and_never_by_what_was_typed(
    body: dict[str, object], name: str
) -> None:
    assert payload_name(body) == name


@pytest.mark.parametrize("carried", [None, "00-1-2-3", {"traceparent": 1}, ["traceparent"]])
def test_a_message_of_whatever_form_is_no_trouble(carried: object) -> None:
    tracing.received(carried)
    with tracing.span("process", linked=True):
        pass
