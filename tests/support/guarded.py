"""A program with a guardian, to be killed: run with its orders as one line of JSON on stdin.

It submits jobs by plain HTTP, tells its guardian of each, prints what it has done
as one line of JSON, and then does with itself as it was ordered.
"""

from __future__ import annotations

import ctypes
import http.client
import json
import os
import signal
import sys
import threading
import time
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import anyio

from qawait.guard.guardian import Guardian, Where
from qawait.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

LONG_SECONDS = 60.0


class Service:
    """Submits jobs as a client does."""

    def __init__(self, orders: dict[str, Any]) -> None:
        self._url = urllib.parse.urlsplit(orders["url"])
        self._headers = {**orders["headers"], "Authorization": f"Bearer {orders['token']}"}
        self._body = orders["body"]
        self._client_tag = orders["client_tag"]

    def begin(self, tag: str) -> http.client.HTTPConnection:
        """Send a submit without waiting for its answer."""
        connection = http.client.HTTPConnection(self._url.hostname or "", self._url.port)
        body = {**self._body, "tags": [tag, self._client_tag]}
        connection.request("POST", f"{self._url.path}/jobs", json.dumps(body), self._headers)
        return connection

    def submit(self, tag: str) -> str:
        """Submit a job and return its id."""
        connection = self.begin(tag)
        answer = json.load(connection.getresponse())
        connection.close()
        return str(answer["id"])


def wait() -> NoReturn:
    """Do nothing until killed."""
    while True:
        time.sleep(LONG_SECONDS)


def fork_in_c() -> int:
    """Leave behind a child that holds the guardian's pipe, as one that C code forked would."""
    child = ctypes.CDLL(None).fork()
    if child == 0:
        time.sleep(LONG_SECONDS)
        os._exit(0)
    return int(child)


def fork_in_python() -> int:
    """Leave behind a child that Python forked."""
    child = os.fork()
    if child == 0:
        time.sleep(LONG_SECONDS)
        os._exit(0)
    return child


DEEDS: dict[str, Callable[[], object]] = {
    "wait": wait,
    "exit": lambda: os._exit(3),
    "crash": lambda: ctypes.string_at(0),
    "return": lambda: None,
}


async def main() -> None:
    """Carry out the orders."""
    if threading.current_thread() is threading.main_thread():
        # A Ctrl-C is to end it at once, as a second one does where the first is being handled.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    orders = json.loads(sys.stdin.readline())
    service = Service(orders)
    where = Where(
        url=orders["url"],
        headers=orders["headers"],
        client_tag=orders["client_tag"],
        journal=Path(orders["journal"]) if orders["journal"] else None,
    )
    guardian = Guardian(where, replay=lambda: [{"token": orders["token"]}])
    await guardian.started()
    guardian.push_token(Secret(orders["token"]))
    said: dict[str, Any] = {"guardian": guardian.pid, "ids": [], "child": None}
    for tag in orders["tags"]:
        guardian.tell({"open": {"tag": tag, "id": None}})
        job_id = service.submit(tag)
        guardian.tell({"live": {"tag": tag, "id": job_id}})
        said["ids"].append(job_id)
    if orders["posting"]:
        guardian.tell({"open": {"tag": orders["posting"], "id": None}})
        said["connection"] = repr(service.begin(orders["posting"]))
    await guardian.flush()
    if orders["fork"]:
        said["child"] = {"c": fork_in_c, "python": fork_in_python}[orders["fork"]]()
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()
    DEEDS[orders["deed"]]()


if __name__ == "__main__":
    if "--thread" in sys.argv:
        thread = threading.Thread(target=anyio.run, args=(main,))
        thread.start()
        thread.join()
    else:
        anyio.run(main)
