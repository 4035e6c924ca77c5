"""How a primitive makes programs of pubs, and what it can be asked without sending anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from qawait.ibm import primitives

if TYPE_CHECKING:
    from qiskit.circuit import CircuitInstruction

    from qawait.ibm.primitives import Choice, Kind


@dataclass(frozen=True, slots=True)
class Way:
    """How a primitive makes programs of pubs."""

    options: Any
    program: Choice | None
    optimization_level: int | None


class LayerFinder:
    """The questions that IBM's client-side preparation answers; it runs in a worker thread."""

    _kind: ClassVar[Kind]
    _way: Way

    async def find_unique_layers(
        self, pubs: Any, types: Literal["gates", "all"] = "gates"
    ) -> list[CircuitInstruction]:
        """Return each distinct boxed layer of circuits once: what `NoiseLearner` takes.

        The circuits must fit the backend, and are taken as they stand. `types`
        says whether layers of measurements count too.

        Raises:
            ConfigError: the program is not `executor`, or what is given is wrong.
        """
        return await primitives.find_unique_layers(
            self._kind, pubs, options=self._way.options, program=self._way.program, types=types
        )

    async def finalize_options(self) -> Any:
        """Return the options with what was left open decided, as IBM's object.

        Raises:
            ConfigError: the program is not `executor`, or an option is wrong.
        """
        return await primitives.finalize_options(
            self._kind, options=self._way.options, program=self._way.program
        )
