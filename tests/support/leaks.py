"""Looking for a secret wherever an exception could show it."""

from __future__ import annotations

import traceback


def chain(error: BaseException) -> list[BaseException]:
    """Return an exception with everything it is chained to and every member of a group."""
    found: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or one in found:
            continue
        found.append(one)
        waiting += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
    return found


def shown(error: BaseException) -> str:
    """Return all that an exception can show: text, repr, attributes, and frames with locals."""
    parts: list[str] = []
    for one in chain(error):
        parts += [str(one), repr(one), repr(getattr(one, "__dict__", ""))]
        report = traceback.TracebackException.from_exception(one, capture_locals=True)
        parts += report.format()
    return "\n".join(parts)
