"""Moments in the rows, by consulta's clock, which may be set back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, or_

#: Longer than anything is put off, but for pins in lost channels.
LONGEST = timedelta(minutes=10)


def has_come(moment: Any, *, early: timedelta = timedelta()) -> ColumnElement[bool]:
    """A condition: the moment is over, or comes within ``early``.

    One that lies further ahead than `LONGEST` was written before the clock was set back, and is over too.
    """
    now = func.clock_timestamp()
    return or_(moment <= now + early, moment > now + LONGEST)
