"""When to ask again: pauses grow, are capped, and start anew with each status."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qawait.jobs.schedule import PollSchedule
from qawait.types import JobStatus

PLAIN = PollSchedule(first=1.0, factor=2.0, queued_cap=30.0, running_cap=5.0, jitter=0.0)
LIVE = st.sampled_from([JobStatus.QUEUED, JobStatus.RUNNING])


def test_pauses_grow_exponentially() -> None:
    """Each pause is `factor` times the last while the status stays."""
    pauses = [PLAIN.pause(JobStatus.QUEUED, polls, 0.5) for polls in range(4)]
    assert pauses == [1.0, 2.0, 4.0, 8.0]


@pytest.mark.parametrize(("status", "cap"), [(JobStatus.QUEUED, 30.0), (JobStatus.RUNNING, 5.0)])
def test_each_status_has_its_cap(status: JobStatus, cap: float) -> None:
    """However often it was asked, no pause exceeds the cap of the status."""
    assert PLAIN.pause(status, 10_000, 0.5) == cap


@given(LIVE, st.integers(0, 10**6), st.floats(0, 1, exclude_max=True))
def test_jitter_stays_within_its_share(status: JobStatus, polls: int, draw: float) -> None:
    """A pause varies by at most the jitter to either side, and is never negative."""
    plain = PollSchedule(jitter=0.0).pause(status, polls, draw)
    varied = PollSchedule(jitter=0.12).pause(status, polls, draw)
    assert 0 < plain * 0.88 - 1e-9 <= varied <= plain * 1.12 + 1e-9
