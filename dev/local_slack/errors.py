"""What goes wrong in the local Slack.

SlackError          a business error of the Web API: HTTP 200 with ``ok: false``
├── RateLimited     HTTP 429 with ``Retry-After``
└── InvalidBlocks   a block or a view breaks Slack's rules; lists every reason
NotPossible         a person tried something that Slack's client does not offer (admin API only)
"""

from dev.local_slack.jsontypes import Json


class SlackError(Exception):
    """A Web API answer with ``ok: false``."""

    def __init__(self, error: str, **extra: object) -> None:
        super().__init__(error)
        self.error = error
        self.extra = extra

    def body(self) -> Json:
        return {"ok": False, "error": self.error, **self.extra}


class RateLimited(SlackError):
    """Too many calls: try again in ``retry_after_seconds``."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__("ratelimited")
        self.retry_after_seconds = retry_after_seconds


class InvalidBlocks(SlackError):
    """Messages answer ``invalid_blocks`` with ``errors``, views ``invalid_arguments`` without them."""

    def __init__(self, reasons: list[str], *, error: str = "invalid_blocks") -> None:
        extra: Json = {"errors": reasons} if error == "invalid_blocks" else {}
        messages = [f"[ERROR] {reason}" for reason in reasons]
        super().__init__(error, **extra, response_metadata={"messages": messages})
        self.reasons = reasons


class NotPossible(Exception):
    """The person cannot do that in Slack: no such button, not visible to them, no open modal…"""
