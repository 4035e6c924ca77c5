"""The version, where both the package and its parts can read it."""

__version__ = "0.1.0"
