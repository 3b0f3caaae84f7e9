"""The place of a pending job in the queue: how many copies come before it.

Jobs are taken in the order of their numbers. One that runs comes before, and one that could be taken now;
one that waits for somebody's yes, or for its own moment, doesn't, nor does a paused one. The jobs of a set
are made together, so that they count as one copy.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, case, func, select
from sqlalchemy.orm import aliased

from bot.jobs.models import CopyJob, Status, may_begin, waits_for_somebody


def jobs_ahead(*, all_live: bool = False) -> ColumnElement[int]:
    """A column of `CopyJob`: how many copies come before it; zero for one that isn't pending.

    ``all_live`` where the query reads all live jobs, and each of them once: then it counts them as they
    pass. Else it counts for each job anew, which is for a few jobs.
    """
    return _over_all_live() if all_live else _of_each()


def _over_all_live() -> ColumnElement[int]:
    before = func.count().filter(_is_counted(CopyJob)).over(order_by=CopyJob.id, rows=(None, -1))
    of_its_own = case((_leads_its_set(CopyJob), 0), else_=1)
    return case((CopyJob.status == Status.PENDING, func.greatest(before - of_its_own, 0)), else_=0)


def _of_each() -> ColumnElement[int]:
    earlier = aliased(CopyJob)
    others = func.coalesce(~_of_one_set(earlier, CopyJob), True)
    return (
        select(func.count())
        .where(_is_counted(earlier), earlier.id < CopyJob.id, others, CopyJob.status == Status.PENDING)
        .correlate(CopyJob)
        .scalar_subquery()
    )


def _is_counted(job: type[CopyJob]) -> ColumnElement[bool]:
    """A condition: later jobs that are pending come after this one."""
    return and_(_is_going(job), ~waits_for_somebody(job), may_begin(job), _leads_its_set(job))


def _is_going(job: type[CopyJob]) -> ColumnElement[bool]:
    return job.status.in_([Status.PENDING, Status.RUNNING])


def _leads_its_set(job: type[CopyJob]) -> ColumnElement[bool]:
    """A condition: it is the first of the jobs of its set, which are made together; or it belongs to none."""
    other = aliased(CopyJob)
    before = select(other.id).where(_of_one_set(other, job), other.id < job.id, _is_going(other))
    return ~before.correlate(job).exists()


def _of_one_set(one: type[CopyJob], other: type[CopyJob]) -> ColumnElement[bool]:
    """A condition: both are jobs of one liquidation in one run."""
    return and_(one.run_id == other.run_id, one.liquidation_id == other.liquidation_id)
