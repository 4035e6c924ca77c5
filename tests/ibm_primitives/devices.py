"""Made-up backends, described as the service does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qawait.ibm.target import build_target

if TYPE_CHECKING:
    from qiskit.transpiler import Target


def line_configuration(num_qubits: int) -> dict[str, Any]:
    """Return the configuration of a backend whose qubits are coupled in a line."""
    pairs = [[place, place + 1] for place in range(num_qubits - 1)]
    edges = pairs + [[second, first] for first, second in pairs]
    singles = [[place] for place in range(num_qubits)]
    return {
        "backend_name": "ibm_line",
        "backend_version": "1.0.0",
        "n_qubits": num_qubits,
        "basis_gates": ["id", "rz", "sx", "x", "cz"],
        "gates": [
            {"name": "rz", "parameters": ["theta"], "qasm_def": "", "coupling_map": singles},
            {"name": "sx", "parameters": [], "qasm_def": "", "coupling_map": singles},
            {"name": "x", "parameters": [], "qasm_def": "", "coupling_map": singles},
            {"name": "cz", "parameters": [], "qasm_def": "", "coupling_map": edges},
        ],
        "supported_instructions": ["cz", "sx", "x", "rz", "measure", "delay", "if_else", "play"],
        "coupling_map": edges,
        "simulator": False,
        "processor_type": {"family": "Heron", "revision": "2"},
        "dt": 4.0,
    }


def line(num_qubits: int) -> Target:
    """Return the target of a backend whose qubits are coupled in a line."""
    return build_target(line_configuration(num_qubits))
