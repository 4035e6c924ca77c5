"""Traffic recorded from IBM's own client, as test data."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BASE_PATH = "/experimental/api/v1"
_FOLDER = Path(__file__).parents[1] / "recorded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One recorded request and what was answered; `path` is below the API's base.

    `status` is 0 where the connection broke before there was an answer.
    """

    transcript: str
    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    sent: Any
    status: int
    content_type: str
    received: Any

    @property
    def raw(self) -> bytes:
        """The body of the answer as it was on the wire."""
        if self.received is None:
            return b""
        if isinstance(self.received, str):
            return self.received.encode()
        return json.dumps(self.received).encode()


def transcripts() -> list[str]:
    """Return the names of all transcripts."""
    return sorted(file.stem for file in _FOLDER.glob("*.json"))


def exchanges(
    transcript: str = "", *, method: str = "", path: str = "", broken: bool = False
) -> list[Exchange]:
    """Return the recorded exchanges that fit and were answered; with `broken`, the others too."""
    return [
        found
        for file in sorted(_FOLDER.glob(f"{transcript}*.json"))
        for found in _read(file)
        if method in {"", found.method} and path in found.path and (broken or found.status)
    ]


def exchange(transcript: str, method: str, path: str, *, status: int = 200) -> Exchange:
    """Return the first recorded exchange whose path ends so and that was answered so."""
    return next(
        found
        for found in exchanges(transcript, method=method)
        if found.path.endswith(path) and found.status == status
    )


def _read(file: Path) -> list[Exchange]:
    content = json.loads(file.read_text())
    return [
        Exchange(
            transcript=content["name"],
            method=one["request"]["method"],
            path=one["request"]["path"].removeprefix(BASE_PATH),
            query=_pairs(one["request"]["query"]),
            sent=one["request"]["body"],
            status=_status(one["response"]["status"]),
            content_type=one["response"]["content_type"] or "",
            received=one["response"]["body"],
        )
        for one in content["exchanges"]
    ]


def _status(said: int | str) -> int:
    return said if isinstance(said, int) else 0


def _pairs(query: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (key, one)
        for key, value in query.items()
        for one in (value if isinstance(value, list) else [value])
    )
