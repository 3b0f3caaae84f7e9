"""Under the hood: every call, envelope and ack as a row, and the faults that are set."""

import json

from dev.local_slack.jsontypes import Json
from dev.local_slack.render.html import Html, el, join
from dev.local_slack.render.places import place_name
from dev.local_slack.render.reader import Reader
from dev.local_slack.state import Call, Envelope, Fault


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
    rows = [el("li", _fault(reader, fault), _remove(reader, fault)) for fault in ws.faults]
    if ws.token_error:
        rows.append(el("li", f"token: {ws.token_error}"))
    if ws.next_comes_twice:
        rows.append(el("li", "next envelope: twice"))
    return join(*rows)


def _fault(reader: Reader, fault: Fault) -> str:
    """Which calls, what becomes of them, and how often."""
    parts = [*_which(reader, fault), *_what(reader, fault)]
    often = reader.t("for ever") if fault.times is None else reader.plural("once", "{n} times", fault.times)
    return f"{fault.method}: {', '.join([*parts, often])}"


def _which(reader: Reader, fault: Fault) -> list[str]:
    words = []
    for key, wanted in fault.match.items():
        channel = reader.core.ws.channels.get(str(wanted)) if key == "channel" else None
        if channel is not None:
            words.append(reader.t("in {place}", place=place_name(reader, channel)))
        elif key == "user":
            words.append(reader.t("of {name}", name=reader.name(str(wanted))))
        else:
            words.append(f"{key} {wanted}")
    return words


def _what(reader: Reader, fault: Fault) -> list[str]:
    words = [str(each) for each in (fault.status, fault.error) if each is not None]
    if fault.retry_after:
        words.append(f"Retry-After {fault.retry_after}")
    if fault.delay:
        words.append(reader.t("takes {n} s", n=f"{fault.delay:g}"))
    if fault.silent:
        words.append(reader.t("never answers") if fault.hang else reader.t("the answer is lost"))
    if fault.applied_after is not None:
        words.append(reader.t("happens after {n} s", n=f"{fault.applied_after:g}"))
    return words


def _remove(reader: Reader, fault: Fault) -> Html:
    words = reader.t("Remove this fault")
    marks = {"data_fate": "remove_fault", "data_fault": fault.id}
    return el("button", "✕", type="button", class_="icon", aria_label=words, title=words, **marks)


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
