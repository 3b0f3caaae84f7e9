"""The named points of the product, at which the campaign can strike.

Each is one line there, ``sys.audit("traspaso.<name>", …)``: free where nobody listens. A test compares this
list with the code.
"""

from __future__ import annotations

PREFIX = "traspaso."

POINTS = {
    "requested": "a press has made a job, which is committed and not on the queue yet",
    "enqueued": "an id is on the queue, and the row doesn't say so yet",
    "claim": "a worker has taken an id from the queue and is about to claim the job",
    "take_over": "the claim is committed; sessions of earlier attempts are about to be ended",
    "claimed": "the attempt begins",
    "snapshot": "a side's snapshot is taken and exported, nothing read yet",
    "planned": "both sides are counted, nothing written yet",
    "first_bytes": "the first rows of a chunk have come from prod",
    "chunk_recorded": "a chunk's rows are written, its record goes out with the commit",
    "chunk_committed": "a chunk is committed",
    "verifying": "all chunks are in place, the comparison begins",
    "completing": "the job's end is written and not committed",
    "completed": "the job's end is committed, nobody was told yet",
    "sweep": "a sweep has begun, in its transaction",
    "sweep_taken": "a sweep has taken jobs from lost workers and isn't committed",
    "delivery": "a relay has a message in hand, Slack wasn't called yet",
    "post": "a card or a reply is about to be posted",
    "posted": "Slack has taken a card or a reply, nobody has noted it",
    "card_saved": "where the card is was noted, it isn't pinned yet",
    "edit": "the card is about to be edited",
    "pin": "the card is about to be pinned or unpinned",
    "delivered": "Slack has taken all of a message, it isn't noted as delivered yet",
    "swept": "a sweep is committed, its jobs aren't on the queue yet",
}
