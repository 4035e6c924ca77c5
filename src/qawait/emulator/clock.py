"""Wall-clock instants as the service writes them: UTC, microseconds, `Z`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Calendar:
    """Gives instants that never repeat and never go back, so creation order is total."""

    def __init__(self) -> None:
        self._last = datetime.min.replace(tzinfo=UTC)

    def now(self) -> datetime:
        """Return the current instant, at least a microsecond after the one before."""
        instant = max(datetime.now(UTC), self._last + timedelta(microseconds=1))
        self._last = instant
        return instant


def stamp(instant: datetime) -> str:
    """Return an instant as the service prints it."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse(text: str) -> datetime:
    """Return the instant a client sent; a time without an offset counts as UTC."""
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
