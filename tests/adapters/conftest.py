"""Collects the tests of an adapter where the package that it adapts to is installed."""

from __future__ import annotations

from importlib.util import find_spec

# The two cannot be installed together, so no environment has all of these tests.
collect_ignore = [name for name in ("divi", "qrisp") if find_spec(name) is None]
