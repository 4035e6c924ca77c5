"""A client's guesses at when its jobs begin and end, from what its drivers see."""

from __future__ import annotations

import logging
from collections import defaultdict
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import anyio

from qawait import limits
from qawait.errors import QawaitError
from qawait.jobs.estimate import Course, Guess, History, guess
from qawait.types import JobStatus

if TYPE_CHECKING:
    from qawait.jobs.driver import Driver

_log = logging.getLogger("qawait.forecasting")


class Forecaster:
    """Follows the courses of a client's jobs, and asks for queues when somebody watches one.

    A backend's queue is asked for at most once a minute, whoever watches.
    """

    def __init__(self) -> None:
        self._courses: WeakKeyDictionary[Driver, Course] = WeakKeyDictionary()
        self._histories: defaultdict[str, History] = defaultdict(History)
        self._queues: dict[str, tuple[float, int]] = {}  # when measured, and how long
        self._asked: dict[str, float] = {}

    def note(self, driver: Driver) -> None:
        """Take note of where the job is now."""
        backend = _backend(driver)
        if backend is not None:
            course = self._courses.get(driver)
            if course is None:
                course = self._courses[driver] = Course()
            self._follow(driver, course, self._histories[backend], anyio.current_time())

    def look(self, driver: Driver) -> Guess:
        """Return when the job will begin and end, as far as can be guessed now."""
        backend = _backend(driver)
        course = self._courses.get(driver)
        if backend is None or course is None:
            return Guess()
        now = anyio.current_time()
        if driver.status is JobStatus.QUEUED:
            self._measure(driver, backend, course, now)
        return guess(course, self._histories[backend], now, driver.estimate)

    def _follow(self, driver: Driver, course: Course, history: History, now: float) -> None:
        status = driver.status
        if status is JobStatus.QUEUED and course.queued is None:
            course.queued = now
        elif status is JobStatus.RUNNING and course.running is None:
            course.running = now
            if driver.request is not None:  # of others it is not known since when they waited
                history.began(course)
        elif status.is_final and not course.is_over:
            course.is_over = True
            if status is JobStatus.DONE:
                history.ended(course, now, driver.estimate)

    def _measure(self, driver: Driver, backend: str, course: Course, now: float) -> None:
        known = self._queues.get(backend)
        if known is not None and now - known[0] <= limits.QUEUE_AGE_SECONDS:
            course.measured(*known)
        elif driver.is_watched and driver.shared.host.is_running:
            self._ask(driver, backend, now)

    def _ask(self, driver: Driver, backend: str, now: float) -> None:
        if now - self._asked.get(backend, -limits.QUEUE_AGE_SECONDS) < limits.QUEUE_AGE_SECONDS:
            return
        self._asked[backend] = now
        service = driver.shared.service

        async def ask() -> None:
            try:
                length = await service.queue_length(backend)
            except QawaitError as error:
                _log.debug("no queue length of %s: %s", backend, type(error).__name__)
            else:
                if length is not None:
                    self._queues[backend] = (anyio.current_time(), length)

        driver.shared.host.start_soon(ask)


def _backend(driver: Driver) -> str | None:
    """Return the backend of a job that there is."""
    about = driver.snapshot or driver.request
    return None if about is None or driver.state.job_id is None else about.backend
