"""Under the hood: every call, envelope and ack as a row, and the faults that are set."""

import json
from dataclasses import asdict

from dev.slack.jsontypes import Json
from dev.slack.render.html import Html, el, join
from dev.slack.render.reader import Reader
from dev.slack.state import Call, Envelope


def call_row(reader: Reader, call: Call) -> Html:
    """`details` opens what was sent and answered."""
    error = call.response.get("error")
    silence = "no answer" if call.held else "dropped"
    outcome = silence if call.status == 0 else error or ("ok" if call.status == 200 else str(call.status))
    if call.held:
        outcome += (
            ", to happen" if call.applied_at is None else f", happened +{call.applied_at - call.at:.0f} s"
        )
    return _row(
        f"call-{call.seq}",
        reader.clock(call.at, seconds=True),
        call.method,
        f"{call.status} {outcome}",
        call.seconds,
        bad=outcome != "ok",
        detail=f"call/{call.seq}",
    )


def envelope_row(reader: Reader, envelope: Envelope) -> Html:
    kind = str(envelope.payload.get("command") or envelope.payload.get("type") or envelope.type)
    event = envelope.payload.get("event") or {}
    actions = envelope.payload.get("actions") or [{}]
    about = event.get("type") or actions[0].get("action_id") or envelope.payload.get("text") or ""
    state = envelope.error or ("ack" if envelope.acks else "…")
    times = f" ×{envelope.deliveries}" if envelope.deliveries > 1 else ""
    return _row(
        f"envelope-{envelope.id}",
        reader.clock(envelope.sent_at, seconds=True),
        f"{kind} {about}".strip(),
        f"{state}{' (late)' if envelope.late else ''}{times}",
        envelope.ack_seconds,
        bad=envelope.error is not None,
        detail=f"envelope/{envelope.id}",
    )


def faults_list(reader: Reader) -> Html:
    ws = reader.core.ws
    rows = [f"{fault.method}: {_what({k: v for k, v in asdict(fault).items() if v})}" for fault in ws.faults]
    if ws.token_error:
        rows.append(f"token: {ws.token_error}")
    if ws.next_comes_twice:
        rows.append("next envelope: twice")
    return join(*(el("li", row) for row in rows))


def _what(fault: Json) -> str:
    named = {key: value for key, value in fault.items() if key not in ("method", "match")}
    return ", ".join(f"{key} {value}" for key, value in named.items())


def _row(
    row_id: str, at: str, what: str, outcome: str, seconds: float | None, *, bad: bool, detail: str
) -> Html:
    took = "" if seconds is None else f"{seconds * 1000:,.0f} ms"
    return el(
        "details",
        el(
            "summary",
            el("time", at),
            el("span", what, class_="what"),
            el("span", outcome, class_="outcome bad" if bad else "outcome"),
            el("span", took, class_="took"),
        ),
        el("pre"),
        id=row_id,
        data_detail=detail,
    )


def pretty(value: Json) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
