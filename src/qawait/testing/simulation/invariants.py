"""What must hold in every simulation, whatever was done and whatever went wrong.

Each rule reads the service's ledger, not what qawait says of itself.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import groupby, pairwise
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from qawait.errors import JobCancelledError, QawaitError
from qawait.jobs.service import CancelReply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qawait.testing.ledger import Request, SimulatedJob
    from qawait.testing.simulation.clients import SimulatedSubmit
    from qawait.testing.simulation.trace import Trace
    from qawait.testing.simulation.waiters import Waiter

_GRACE: Final = 0.001  # for rounding, and for turns of the loop
STOP_BOUND: Final = 10.0 + _GRACE  # as is promised, whatever the limits say
LEAVE_BOUND: Final = 30.0 + _GRACE
_PASSED_ON: Final = 0.02  # what is known for so long is on disk and in the pipe
_EXPECTED: Final = (QawaitError, asyncio.CancelledError, type(None))
_WAITS: Final = frozenset({"run", "join"})


def broken(trace: Trace) -> Iterator[str]:
    """Yield each promise that was broken, with what broke it."""
    yield from duplicates(trace)
    yield from cancels(trace)
    yield from late_cancels(trace)
    yield from unasked_cancels(trace)
    yield from orphans(trace, trace.over)
    for waiter in trace.waiters:
        if not (waiter.is_dead or isinstance(waiter.raised, _EXPECTED)):
            yield f"{waiter.what} raised {waiter.raised!r}"
        if waiter.first_stop is not None and not waiter.is_dead:
            yield from stopped(waiter, trace)


def duplicates(trace: Trace) -> Iterator[str]:
    """At most one job of a submit is live at any time."""
    jobs = sorted(trace.service.jobs.values(), key=attrgetter("tag", "created"))
    for tag, same in groupby(jobs, key=attrgetter("tag")):
        for first, second in pairwise(same):
            if first.ends > second.created:
                yield f"two live jobs of {tag}: {first.job_id} and {second.job_id}"


def cancels(trace: Trace) -> Iterator[str]:
    """A second cancel reaches a job only after a lost answer and a sighting of the live job."""
    for job in trace.service.jobs.values():
        arrived = [
            request
            for request in trace.service.ledger
            if request.call == "cancel"
            and request.what == job.job_id
            and request.landed is not None
        ]
        arrived.sort(key=attrgetter("order"))
        for first, second in pairwise(arrived):
            if _is_known(trace, first):
                yield f"a second cancel of {job.job_id} although the first was answered"
            elif not _seen_live(trace, job, first, second):
                yield f"a second cancel of {job.job_id} without a look at it"


def _is_known(trace: Trace, request: Request) -> bool:
    """Whether the answer came, and the sender lived long enough to pass it on."""
    if request.answered is None or request.error is not None:
        return False
    killed = trace.killed.get(request.client)
    return killed is None or killed - request.answered > _PASSED_ON


def _seen_live(trace: Trace, job: SimulatedJob, first: Request, second: Request) -> bool:
    told = trace.killed.get(first.client, 0.0) if first.answered is None else first.answered
    return any(
        told <= look.time and _told_before(look, second) and look.client == second.client
        for look, is_final in _sightings(trace, job.job_id)
        if not is_final
    )


def late_cancels(trace: Trace) -> Iterator[str]:
    """Nobody cancels a job that it has seen final."""
    for request in trace.service.ledger:
        if request.call != "cancel":
            continue
        for look, is_final in _sightings(trace, request.what):
            if is_final and look.client == request.client and _told_before(look, request):
                yield f"{request.client} cancelled {request.what}, which it had seen final"
                break


def unasked_cancels(trace: Trace) -> Iterator[str]:
    """Nobody cancels a submit's one job before somebody was stopped, failed or asked for it."""
    made = Counter(job.tag for job in trace.service.jobs.values())
    for request in trace.service.ledger:
        job = trace.service.jobs.get(request.what) if request.call == "cancel" else None
        if job is not None and made[job.tag] == 1 and not _is_asked_for(trace, request, job):
            yield f"{request.client} cancelled {job.job_id} and nobody had asked for it"


def _is_asked_for(trace: Trace, request: Request, job: SimulatedJob) -> bool:
    if trace.ended_before(request.time):
        return True
    return any(
        _is_reason(waiter, request.time)
        for waiter in trace.waiters
        if waiter.what == "cancel" or any(submit.tag == job.tag for submit in waiter.submits)
    )


def _is_reason(waiter: Waiter, moment: float) -> bool:
    """Whether it had been stopped or had asked for a cancel by then, or failed by itself."""
    if waiter.what == "cancel":
        return waiter.started is not None and waiter.started <= moment
    if waiter.first_stop is not None and waiter.first_stop <= moment:
        return True
    return waiter.raised is not None and not isinstance(waiter.raised, JobCancelledError)


def _told_before(answer: Request, later: Request) -> bool:
    return answer.answered_before is not None and answer.answered_before <= later.order


def _sightings(trace: Trace, job_id: str) -> Iterator[tuple[Request, bool]]:
    """Yield each answer that told its sender whether the job is final."""
    for request in trace.service.ledger:
        if request.answered is None or request.error is not None:
            continue
        if request.call == "status" and request.what == job_id:
            yield request, request.answer.is_final
        elif isinstance(request.answer, list):
            for seen in request.answer:
                if seen.job_id == job_id:
                    yield request, seen.is_final
        elif (request.what, request.answer) == (job_id, CancelReply.NOT_CANCELLABLE):
            yield request, True


def orphans(trace: Trace, now: float) -> Iterator[str]:
    """When all has ended no job runs that nobody detached and whose cancel nobody accepted."""
    for job in trace.service.jobs.values():
        is_live = not job.status(now).is_final
        if is_live and job.tag not in trace.detached and not job.is_accepted:
            yield f"an orphan: {job.job_id} of {job.tag} is {job.status(now)}"


def stopped(waiter: Waiter, trace: Trace) -> Iterator[str]:
    """A waiter that is stopped ends within the bound, by its first cancellation, with a note."""
    if waiter.first_stop is None or waiter.started is None or waiter.ended is None:
        return
    lasted = waiter.ended - waiter.first_stop
    if lasted > STOP_BOUND:
        yield f"{waiter.what} ended {lasted:.3f} s after it was cancelled"
    if lasted <= _GRACE and not isinstance(waiter.raised, asyncio.CancelledError):
        return  # it ended at the same moment
    if not isinstance(waiter.raised, asyncio.CancelledError):
        yield f"{waiter.what} was cancelled and raised {waiter.raised!r}"
        return
    is_later = lasted > _GRACE  # asyncio makes one of two cancellations at the same moment
    if is_later and waiter.message is not None and waiter.raised.args != (waiter.message,):
        yield f"{waiter.what} raised {waiter.raised!r} and not its first cancellation"
    if any(_needs_note(submit, waiter, trace) for submit in waiter.submits) and not any(
        note.startswith("qawait: ") for note in getattr(waiter.raised, "__notes__", ())
    ):
        yield f"{waiter.what} was cancelled and its exception has no note"


def _needs_note(submit: SimulatedSubmit, waiter: Waiter, trace: Trace) -> bool:
    """Whether nobody else waits for a job that was under way when the waiter was stopped."""
    stop = waiter.first_stop or 0.0
    if waiter.what not in _WAITS or submit.submitted is None or submit.submitted >= stop:
        return False
    if submit.ended is not None and submit.ended <= stop + _GRACE:
        return False
    if waiter.shape == "as_completed" and not _has_ids(waiter, stop):
        return False
    return not any(
        other is not waiter
        and other.what in _WAITS
        and submit in other.submits
        and (other.ended is None or other.ended >= stop)
        for other in trace.waiters
    )


def _has_ids(waiter: Waiter, stop: float) -> bool:
    """Whether it was past its submits, and so waited for all of its jobs."""
    return all(submit.got_id is not None and submit.got_id < stop for submit in waiter.submits)
