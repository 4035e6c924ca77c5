"""Each endpoint of the Qiskit Runtime REST API as `build → Request` and `parse(Reply) → value`.

Pure: nothing here awaits, reads a clock or touches the network. What a function
parses comes from outside, so each ends with a value or with a `QawaitError`,
never with a `KeyError`.
"""

from qawait.ibm.wire import backends, iam, instances, jobs, sessions
from qawait.ibm.wire.message import API_VERSION, Reply, Request

__all__ = ["API_VERSION", "Reply", "Request", "backends", "iam", "instances", "jobs", "sessions"]
