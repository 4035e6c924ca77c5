"""A string that cannot be printed."""

from __future__ import annotations

from typing import NoReturn


class Secret:
    """Holds a credential and shows it to nobody who does not ask by name.

    `repr`, `str`, `format` and f-strings give a mask; pickling and copying by
    pickle raise `TypeError`. Only `reveal()` gives the value, so every place
    where a credential leaves this process can be found by searching for it.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the credential itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled")
