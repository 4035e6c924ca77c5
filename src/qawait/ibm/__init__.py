"""IBM Quantum: the only room that speaks the language of the Qiskit Runtime REST API."""
