"""When to ask again: pauses grow, are capped, and follow what is known of the job."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qawait.errors import ConfigError
from qawait.jobs.schedule import PollSchedule, Sight
from qawait.types import JobStatus

PLAIN = PollSchedule(first=1.0, factor=2.0, queued_cap=30.0, running_first=0.5, jitter=0.0)
QUEUED, RUNNING = JobStatus.QUEUED, JobStatus.RUNNING
sights = st.builds(
    Sight,
    status=st.sampled_from([QUEUED, RUNNING]),
    polls=st.integers(0, 10**6),
    age=st.floats(0, 1e6),
    gap=st.floats(0, 1e3),
    estimate=st.none() | st.floats(0, 1e5),
)


def test_pauses_grow_exponentially() -> None:
    """Each pause of a queued job is `factor` times the last."""
    sight = [Sight(status=QUEUED, polls=polls, estimate=100.0) for polls in range(4)]
    assert [PLAIN.pause(each, 0.5) for each in sight] == [1.0, 2.0, 4.0, 8.0]


def test_a_queued_jobs_cap_follows_its_estimate() -> None:
    """A job that will run 10 s is not left alone for longer than 6 s."""
    assert PLAIN.pause(Sight(status=QUEUED, polls=99, estimate=10.0), 0.5) == 6.0


def test_without_an_estimate_the_cap_is_a_short_one() -> None:
    """A queued job of unknown length is asked for every 5 s."""
    assert PLAIN.pause(Sight(status=QUEUED, polls=99), 0.5) == 5.0


def test_a_queued_jobs_cap_has_a_limit() -> None:
    """However long it will run, it is asked for at the cap."""
    assert PLAIN.pause(Sight(status=QUEUED, polls=10_000, estimate=1e6), 0.5) == 30.0


def test_a_running_jobs_pause_follows_its_age() -> None:
    """A job that has been running for 50 s is asked for every 2 s, a young one more often."""
    assert PLAIN.pause(Sight(status=RUNNING, polls=3, age=50.0), 0.5) == 2.0
    assert PLAIN.pause(Sight(status=RUNNING, polls=3, age=1.0), 0.5) == 0.5


def test_a_job_seen_to_start_is_left_alone_for_half_its_estimate() -> None:
    """The first pause of a running job knows how long it will run, and since when at most."""
    assert PLAIN.pause(Sight(status=RUNNING, estimate=20.0, gap=1.0), 0.5) == 9.0
    assert PLAIN.pause(Sight(status=RUNNING, estimate=20.0, gap=15.0), 0.5) == 0.5


def test_twice_the_lateness_is_half_the_requests() -> None:
    """One number turns the whole schedule."""
    quick, slow = PollSchedule(jitter=0.0), PollSchedule(lateness=0.5, jitter=0.0)
    for sight in (Sight(status=QUEUED), Sight(status=RUNNING, polls=1)):
        assert slow.pause(sight, 0.5) == pytest.approx(2 * quick.pause(sight, 0.5))


@given(sights, st.floats(0, 1, exclude_max=True))
def test_jitter_stays_within_its_share(sight: Sight, draw: float) -> None:
    """A pause varies by at most the jitter to either side, and is never nothing."""
    plain = PollSchedule(jitter=0.0).pause(sight, draw)
    varied = PollSchedule(jitter=0.12).pause(sight, draw)
    assert 0 < plain * 0.87 < varied < plain * 1.13


@pytest.mark.parametrize("name", ["lateness", "first", "queued_cap", "running_cap"])
def test_a_number_that_is_not_positive_is_refused(name: str) -> None:
    """A schedule that would never pause is a clear error."""
    with pytest.raises(ConfigError, match=name):
        PollSchedule(**{name: 0.0})
