"""What a run is, drawn from its seed alone: the house, the data, the way to the job, the faults."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from dev.chaos.data import Shape
from dev.chaos.faults import KINDS, Fault

#: How often each kind of house is drawn. The settings as they are delivered are asked for by name.
PROFILES = {"plain": 8, "one lane": 3, "two bots": 4, "PgBouncer": 2, "TLS": 1, "standby": 3}

#: Moments that a run passes once, or some times; of those a fault strikes at one of the first six.
ONCE = (
    "requested",
    "enqueued",
    "claim",
    "take_over",
    "claimed",
    "snapshot prod",
    "planned",
    "verifying",
    "snapshot consulta",
    "completing",
    "completed",
)
OFTEN = ("first_bytes", "chunk_recorded", "chunk_committed")
MESSAGES = (
    "delivery card",
    "post card",
    "posted card",
    "card_saved",
    "pin while it runs",
    "edit while it runs",
    "delivered card",
    "delivery ending",
    "edit of an end",
    "post ending",
    "posted ending",
    "pin of an end",
    "delivered ending",
)
SWEEPS = ("sweep", "sweep_taken", "swept")
MOMENTS = (*ONCE, *OFTEN, *MESSAGES, *SWEEPS)

WEIGHTS = {
    "kill -9": 8,
    "SIGSTOP": 5,
    "SIGTERM": 3,
    "Slack errs": 5,
    "pressed": 3,
    "consulta down": 3,
    "failed over": 0,
    "channel lost": 1,
    "card deleted": 1,
    "frozen": 1,
}
#: What a house adds to the kinds that any may have.
OWN = {"standby": {"failed over": 8}}
#: Faults that need what PgBouncer or a failover takes away: a server's name for its own clock and disk.
NOT_IN = {"standby": frozenset({"clock set", "disk full"})}


@dataclass(frozen=True, slots=True)
class Plan:
    """One run."""

    seed: int
    profile: str
    shape: Shape
    copy: str
    way: str
    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        shape = f"{self.shape.rows} rows, consulta holds {self.shape.held}"
        faults = "; ".join(map(str, self.faults)) or "no fault"
        return f"{self.profile}, {self.copy}, {self.way}; {shape}; {faults}"

    def may_end(self) -> set[str]:
        """Cancelled where somebody cancels it, or nobody can approve it any more; else only completed."""
        cancels = any(fault.kind == "pressed" and fault.detail == "cancel" for fault in self.faults)
        return {"completed"} | ({"cancelled"} if cancels or self.may_lose_approval() else set())

    def may_lose_approval(self) -> bool:
        """A card that moves to a direct message has nobody to approve it."""
        silent = self.has("channel lost") or self.has("Slack errs") or self.has("token revoked")
        return self.copy == "checked" and (silent or any("slack" in fault.detail for fault in self.faults))

    def codes(self) -> frozenset[str]:
        """Failures that these faults explain."""
        return frozenset().union(*(KINDS[fault.kind].codes for fault in self.faults))

    def has(self, kind: str, detail: str = "") -> bool:
        return any(fault.kind == kind and detail in fault.detail for fault in self.faults)


def draw(seed: int, profile: str | None = None) -> Plan:
    """The same for the same seed, in this version of the campaign."""
    rng = random.Random(seed)
    drawn = rng.choices(list(PROFILES), list(PROFILES.values()))[0]
    profile = profile or drawn
    shape = Shape(
        rows=rng.choice([400, 1500, 4000, 8000]),
        held=rng.choice(["nothing", "nothing", "all", "stale", "moved"]),
        writes_per_second=rng.choice([5.0, 20.0, 60.0]),
    )
    copy = rng.choices(["items", "checked"], [6, 1])[0]
    way = rng.choices(["pressed once", "pressed twice", "two people", "by the modal"], [6, 2, 1, 1])[0]
    if profile == "defaults":
        return Plan(seed, profile, Shape(8000, "nothing", 20.0), "items", "pressed once", FIGURES[seed % 4])
    if rng.random() < 0.2:  # a worker is lost, and something happens to whoever takes its job over
        first = Fault("kill -9", 8.0, "chunk_recorded", rng.randint(1, 3))
        second = _fault(rng, profile)
        if second.kind != "message lost":
            point = rng.choice([*SWEEPS, *SWEEPS, "take_over"])
            second = replace(second, point=point, nth=2 if point == "take_over" else 1, after=None)
        faults = [first, second]
    else:
        faults = [_fault(rng, profile) for _ in range(rng.choices([1, 2, 3], [5, 4, 2])[0])]
    return Plan(seed, profile, shape, copy, way, tuple(faults))


#: What the recovery times are measured with, where the settings are as delivered.
FIGURES: tuple[tuple[Fault, ...], ...] = (
    (Fault("kill -9", 2.0, "chunk_recorded", 3),),
    (Fault("message lost", 0.0, "requested"),),
    (Fault("kill -9", 2.0, "post ending"),),
    (),
)


def _fault(rng: random.Random, profile: str) -> Fault:
    weights = {name: WEIGHTS.get(name, 2) for name in KINDS} | OWN.get(profile, {})
    weights |= dict.fromkeys(NOT_IN.get(profile, ()), 0)
    kind = rng.choices(list(weights), list(weights.values()))[0]
    about = KINDS[kind]
    seconds = round(rng.uniform(about.least, about.most), 1)
    detail = rng.choice(about.details)
    if kind == "message lost":
        return Fault(kind, 0.0, "requested")
    if rng.random() < 0.2:
        return Fault(kind, seconds, after=round(rng.uniform(0.0, 4.0), 2), detail=detail)
    point = rng.choice([*ONCE, *OFTEN, *OFTEN, *OFTEN, *MESSAGES])
    return Fault(kind, seconds, point, rng.randint(1, 6) if point in OFTEN else 1, detail=detail)
