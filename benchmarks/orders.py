"""What the canned service and those who use it agree on; imports nothing that would be measured."""

from __future__ import annotations

import http.client
import json
import urllib.parse
from typing import Any

KEY = "k" * 44
INSTANCE = (
    "crn:v1:bluemix:public:quantum-computing:us-east:"
    "a/0123456789abcdef0123456789abcdef:11111111-2222-3333-4444-555555555555::"
)
BACKEND = "ibm_manila"
CLIENT_TAG = "benchmark"
PAGE = 200


def variables(origin: str) -> dict[str, str]:
    """Return the environment that points a client, IBM's too, at the service."""
    return {
        "QISKIT_IBM_TOKEN": KEY,
        "QISKIT_IBM_INSTANCE": INSTANCE,
        "QISKIT_IBM_URL": f"{origin}/experimental/api/v1",
        "IAM_URL": origin,
        "GLOBAL_SEARCH_URL": f"{origin}/gs",
        "GLOBAL_CATALOG_URL": f"{origin}/catalog/api/v1",
    }


class Control:
    """Gives orders to the canned service."""

    def __init__(self, origin: str) -> None:
        self._address = origin.removeprefix("http://")

    def ask(self, path: str, **query: float) -> Any:
        """Return what the server answers to an order."""
        connection = http.client.HTTPConnection(self._address, timeout=60)
        connection.request("GET", f"/{path}?{urllib.parse.urlencode(query)}")
        answer = json.load(connection.getresponse())
        connection.close()
        return answer
