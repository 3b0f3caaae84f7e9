"""What one Web API method is: a function of the state and the arguments, and the scopes it needs."""

from collections.abc import Callable
from dataclasses import dataclass

from dev.local_slack.args import Args
from dev.local_slack.core import Core
from dev.local_slack.jsontypes import Json


@dataclass(frozen=True)
class Method:
    run: Callable[[Core, Args], Json]
    scopes: tuple[str, ...] = ()
    app_token: bool = False
    config_token: bool = False
