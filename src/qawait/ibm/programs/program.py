"""A program of the service, ready to be submitted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from qawait.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qiskit.primitives.containers.estimator_pub import EstimatorPub
    from qiskit.primitives.containers.sampler_pub import SamplerPub

Choice: TypeAlias = Literal["executor", "legacy"]
"""The ways to run a primitive: prepared here for `executor`, or by the service itself."""
Kind: TypeAlias = Literal["sampler", "estimator"]

_LOG_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What IBM keeps among a primitive's options although it belongs to the job.

    `log_level` is the program's own; `image` is the runtime image that runs it,
    as `name:tag`.
    """

    tags: tuple[str, ...] = ()
    max_execution_time: int | None = None
    private: bool = False
    log_level: str | None = None
    image: str | None = None

    @classmethod
    def from_options(cls, given: Mapping[str, Any]) -> Environment:
        """Return it from the names that IBM gives to its parts; what else is there is ignored.

        Raises:
            ConfigError: if a value is of the wrong kind.
        """
        tags = given.get("job_tags") or ()
        if not isinstance(tags, list | tuple) or not all(isinstance(tag, str) for tag in tags):
            raise ConfigError(f"environment.job_tags must be a list of words, not {tags!r:.100}")
        level = given.get("log_level")
        if level is not None and level not in _LOG_LEVELS:
            known = ", ".join(_LOG_LEVELS)
            raise ConfigError(f"environment.log_level must be one of {known}, not {level!r:.60}")
        private = given.get("private") or False
        if not isinstance(private, bool):
            raise ConfigError(f"environment.private must be true or false, not {private!r:.60}")
        return cls(
            tags=tuple(tags),
            max_execution_time=given.get("max_execution_time"),
            private=private,
            log_level=level,
            image=given.get("image"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program of the service with its input, ready to be submitted.

    `params` is the JSON of the input; `pubs` is what it encodes: coerced,
    transpiled where that was needed, in the order in which they were given.
    """

    name: Literal["sampler", "estimator", "executor", "noise-learner"]
    params: bytes = field(repr=False)
    pubs: tuple[SamplerPub | EstimatorPub, ...] = field(default=(), repr=False, compare=False)
    environment: Environment = field(default_factory=Environment)

    @property
    def num_pubs(self) -> int:
        """How many results there will be."""
        return len(self.pubs)


@dataclass(frozen=True, slots=True, kw_only=True)
class RawProgram:
    """Any program of the service with an input of its user's own making."""

    name: str
    params: Mapping[str, Any] | bytes = field(repr=False)
    environment: Environment = field(default_factory=Environment)
