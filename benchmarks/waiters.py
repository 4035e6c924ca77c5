"""The ways to wait for many jobs that `many.py` compares: IBM's client, bare loops, qawait."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import os
import threading
import urllib.parse
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from orders import BACKEND, CLIENT_TAG, INSTANCE, PAGE

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from orders import Control

    import qawait

INTERVAL = 0.5
FINAL = frozenset({"Completed", "Cancelled", "Failed"})
TOKEN = "x" * 250
HEADERS = {
    "Authorization": f"Bearer {TOKEN}",
    "Service-CRN": INSTANCE,
    "IBM-API-Version": "2026-04-15",
    "User-Agent": "benchmark",
}
PARAMS: dict[str, Any] = {"pubs": [["OPENQASM 3.0;", None, 1]], "options": {}, "version": 2}
LISTED = {
    "limit": str(PAGE),
    "pending": "true",
    "sort": "ASC",
    "exclude_params": "true",
    "tags": CLIENT_TAG,
}


class Waiter(ABC):
    """A way to wait; jobs are told by their ids."""

    has_loop = True

    def __init__(self, origin: str, tls: ssl.SSLContext, control: Control) -> None:
        self.origin = origin
        self.tls = tls if origin.startswith("https") else None
        self.control = control
        self.errors = 0

    @abstractmethod
    async def open(self) -> None:
        """Connect, and ask one thing, so that everything is imported."""

    async def prepare(self, count: int) -> list[str]:
        """Return the ids of so many jobs to wait for."""
        self.made = self.control.ask("make", count=count)
        return [job_id for job_id, _ in self.made]

    @abstractmethod
    async def wait(
        self, ids: list[str], begin: Callable[[], None], seen: Callable[[str], None]
    ) -> None:
        """Wait for all of them: call `begin` once all are waited for, `seen` for each end."""

    def import_decoder(self) -> None:  # noqa: B027 - most need nothing
        """Import what decoding takes, so that it is not counted as decoding."""

    @abstractmethod
    async def fetch(self, ids: list[str]) -> None:
        """Fetch and decode their results, as far as this way does."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of everything."""


# --- IBM's client --------------------------------------------------------------------------------


class Threads(Waiter):
    """IBM's client, a thread for each job: the waiting half of `job.result()`, then the rest."""

    has_loop = False

    async def open(self) -> None:
        """Open the service and look at one job."""
        from qiskit_ibm_runtime import QiskitRuntimeService

        self.service = QiskitRuntimeService()
        [[job_id, _]] = self.control.ask("make", count=1)
        self.first = self.service.job(job_id)
        self.first.status()
        self.control.ask("forget")

    async def prepare(self, count: int) -> list[str]:
        """Make IBM's handles; through its `jobs()` that would be a request for each backend."""
        from qiskit_ibm_runtime import RuntimeJobV2

        ids = await super().prepare(count)
        self.jobs = {
            job_id: RuntimeJobV2(
                backend=self.first.backend(),
                api_client=self.service._active_api_client,  # noqa: SLF001 - as its own jobs() does
                job_id=job_id,
                program_id="sampler",
                service=self.service,
            )
            for job_id in ids
        }
        return ids

    def look(self, job_id: str, seen: Callable[[str], None]) -> None:
        """Wait for one job in this thread."""
        try:
            self.jobs[job_id].wait_for_final_state()
        except Exception:  # noqa: BLE001 - counted, whatever it is
            self.errors += 1
        else:
            seen(job_id)

    async def wait(
        self, ids: list[str], begin: Callable[[], None], seen: Callable[[str], None]
    ) -> None:
        """Start the threads and join them."""
        threads = [threading.Thread(target=self.look, args=(job_id, seen)) for job_id in ids]
        for thread in threads:
            thread.start()
        begin()
        for thread in threads:
            thread.join()

    async def fetch(self, ids: list[str]) -> None:
        """Fetch from 32 threads, since more only get in each other's way."""
        with ThreadPoolExecutor(32) as pool:
            for fetching in [pool.submit(self.jobs[job_id].result) for job_id in ids]:
                self.errors += fetching.exception() is not None

    async def close(self) -> None:
        """Leave the sessions to the end of the process."""


class ToThread(Threads):
    """IBM's client from asyncio, in the default executor."""

    has_loop = True

    def executor(self, count: int) -> ThreadPoolExecutor | None:  # noqa: ARG002 - others look at it
        """Return the executor; `None` is asyncio's own."""
        return None

    async def wait(
        self, ids: list[str], begin: Callable[[], None], seen: Callable[[str], None]
    ) -> None:
        """Await a thread for each job."""
        pool = self.executor(len(ids))
        if pool is not None:
            asyncio.get_running_loop().set_default_executor(pool)
        tasks = [asyncio.ensure_future(asyncio.to_thread(self.look, i, seen)) for i in ids]
        await asyncio.sleep(0)
        begin()
        await asyncio.gather(*tasks)


class ToThreadEach(ToThread):
    """The same with an executor that has a thread for each job."""

    def executor(self, count: int) -> ThreadPoolExecutor | None:
        """Return an executor of that size."""
        return ThreadPoolExecutor(count)


# --- bare loops: a task for each job -------------------------------------------------------------


class Loop(Waiter):
    """A task for each job that asks every half second; subclasses bring the HTTP client."""

    @abstractmethod
    async def get(self, path: str) -> Any:
        """Return the JSON of a path."""

    async def look(self, job_id: str, seen: Callable[[str], None]) -> None:
        """Ask until the job has ended; an error ends it, as it would end such a loop."""
        try:
            while True:
                record = await self.get(f"/jobs/{job_id}?exclude_params=true")
                if record["state"]["status"] in FINAL:
                    seen(job_id)
                    return
                await asyncio.sleep(INTERVAL)
        except Exception:  # noqa: BLE001 - counted, whatever it is
            self.errors += 1

    async def wait(
        self, ids: list[str], begin: Callable[[], None], seen: Callable[[str], None]
    ) -> None:
        """Start the tasks and await them."""
        tasks = [asyncio.ensure_future(self.look(job_id, seen)) for job_id in ids]
        begin()
        await asyncio.gather(*tasks)

    async def fetch(self, ids: list[str]) -> None:
        """Fetch all, 32 at a time."""
        slots = asyncio.Semaphore(32)

        async def one(job_id: str) -> None:
            async with slots:
                try:
                    await self.get(f"/jobs/{job_id}/results")
                except Exception:  # noqa: BLE001 - counted, whatever it is
                    self.errors += 1

        await asyncio.gather(*(one(job_id) for job_id in ids))


class Httpx(Loop):
    """`httpx.AsyncClient` as it comes: 100 connections, time-outs of 5 s."""

    async def open(self) -> None:
        """Open the client."""
        import httpx

        self.http = httpx.AsyncClient(
            base_url=f"{self.origin}/api/v1", headers=HEADERS, verify=self.tls or True
        )
        await self.get("/backends")

    async def get(self, path: str) -> Any:
        """Return the JSON of a path."""
        return (await self.http.get(path)).json()

    async def close(self) -> None:
        """Close the client."""
        await self.http.aclose()


class Aiohttp(Loop):
    """`aiohttp.ClientSession` as it comes: 100 connections."""

    async def open(self) -> None:
        """Open the session."""
        import aiohttp

        self.http = aiohttp.ClientSession(
            headers=HEADERS, connector=aiohttp.TCPConnector(ssl=self.tls or True)
        )
        await self.get("/backends")

    async def get(self, path: str) -> Any:
        """Return the JSON of a path."""
        async with self.http.get(f"{self.origin}/api/v1{path}") as answer:
            return await answer.json()

    async def close(self) -> None:
        """Close the session."""
        await self.http.close()


# --- the limit -----------------------------------------------------------------------------------


class Streams:
    """HTTP on bare streams, nothing checked, 32 connections at most."""

    def __init__(self, origin: str, tls: ssl.SSLContext | None) -> None:
        self.port = int(origin.rpartition(":")[2])
        self.tls = tls
        self.idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.slots = asyncio.Semaphore(32)
        lines = (*(f"{name}: {value}" for name, value in HEADERS.items()), "Host: 127.0.0.1")
        self.head = "\r\n".join(("", *lines, "Content-Length: "))

    async def send(self, method: str, path: str, body: bytes = b"") -> Any:
        """Return the JSON of the answer."""
        request = f"{method} /api/v1{path} HTTP/1.1{self.head}{len(body)}\r\n\r\n".encode()
        async with self.slots:
            connection = self.idle.pop() if self.idle else await self._connected()
            reader, writer = connection
            writer.write(request + body)
            head = await reader.readuntil(b"\r\n\r\n")
            answer = await reader.readexactly(int(head[head.rindex(b"Length:") + 7 :]))
            self.idle.append(connection)
        return json.loads(answer)

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=self.tls)

    async def close(self) -> None:
        """Close the connections."""
        for _, writer in self.idle:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


class Raw(Loop):
    """One list poller on bare streams, nothing checked: the limit.

    Pages are cut by time of creation and fetched at once; a job that no page
    shows is asked for by itself.
    """

    async def open(self) -> None:
        """Open the first connection."""
        self.streams = Streams(self.origin, self.tls)
        await self.get("/backends")

    async def get(self, path: str) -> Any:
        """Return the JSON of a path."""
        return await self.streams.send("GET", path)

    async def wait(
        self, ids: list[str], begin: Callable[[], None], seen: Callable[[str], None]
    ) -> None:
        """List what is pending every half second, and ask for what is missing."""
        windows = self._windows()
        left = set(ids)
        begin()
        due = asyncio.get_running_loop().time()
        while left:
            pages = await asyncio.gather(*(self.get(window) for window in windows))
            shown = {job["id"] for page in pages for job in page["jobs"]}
            ended = await asyncio.gather(*(self._confirm(job_id) for job_id in left - shown))
            for job_id in filter(None, ended):
                left.discard(job_id)
                seen(job_id)
            due += INTERVAL
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))

    async def _confirm(self, job_id: str) -> str | None:
        record = await self.get(f"/jobs/{job_id}?exclude_params=true")
        return job_id if record["state"]["status"] in FINAL else None

    def _windows(self) -> list[str]:
        times = [dt.datetime.fromisoformat(created) for _, created in self.made]
        windows = []
        for place in range(0, len(times), PAGE):
            span = times[place : place + PAGE]
            bounds = {
                "created_after": span[0].isoformat(),
                "created_before": span[-1].isoformat(),
            }
            windows.append(f"/jobs?{urllib.parse.urlencode(LISTED | bounds)}")
        return windows

    async def close(self) -> None:
        """Close the connections."""
        await self.streams.close()


# --- qawait --------------------------------------------------------------------------------------


class Qawait(Waiter):
    """qawait as it comes: submitted jobs, guardian and journal on, the schedule's defaults."""

    fixed = False

    async def open(self) -> None:
        """Open a client, and submit and cancel one job."""
        import qawait

        self.client = await qawait.connect(schedule=self._schedule())
        job = await self._submit()
        await job.cancel()
        with contextlib.suppress(qawait.JobCancelledError):
            await job

    def _schedule(self) -> qawait.PollSchedule | None:
        import qawait

        if not self.fixed:
            return None
        return qawait.PollSchedule(
            first=INTERVAL,
            factor=1.0,
            queued_cap=INTERVAL,
            running_first=INTERVAL,
            running_cap=INTERVAL,
            running_lead=0.0,
        )

    async def _submit(self) -> qawait.Job[Any]:
        return await self.client.submit_program("sampler", PARAMS, backend=BACKEND)

    async def prepare(self, count: int) -> list[str]:
        """Submit the jobs, by 32 tasks: one for each job would leave its memory behind."""
        left = iter(range(count))
        self.jobs: list[qawait.Job[Any]] = []

        async def some() -> None:
            for _ in left:
                self.jobs.append(await self._submit())

        await asyncio.gather(*(some() for _ in range(32)))
        return [job.id for job in self.jobs]

    async def wait(
        self, ids: list[str], begin: Callable[[], None], seen: Callable[[str], None]
    ) -> None:
        """Take the jobs as they end."""
        assert len(ids) == len(self.jobs)
        completed = self.client.as_completed(self.jobs)
        begin()
        async for job in completed:
            seen(job.id)

    def import_decoder(self) -> None:
        """Import Qiskit."""
        from qawait.ibm.heavy import preload

        preload()

    async def fetch(self, ids: list[str]) -> None:
        """Await every job."""
        assert len(ids) <= len(self.jobs)
        await asyncio.gather(*(self._result(job) for job in self.jobs))

    async def _result(self, job: qawait.Job[Any]) -> None:
        try:
            await job
        except Exception:  # noqa: BLE001 - counted, whatever it is
            self.errors += 1

    async def close(self) -> None:
        """Close the client."""
        await self.client.aclose()


class QawaitFixed(Qawait):
    """qawait with the interval of the others: 0.5 s whatever is known of a job."""

    fixed = True


WAITERS: dict[str, type[Waiter]] = {
    "IBM's client, a thread per job": Threads,
    "IBM's client, to_thread": ToThread,
    "IBM's client, to_thread, N threads": ToThreadEach,
    "httpx, a task per job": Httpx,
    "aiohttp, a task per job": Aiohttp,
    "qawait": Qawait,
    "qawait, fixed 0.5 s": QawaitFixed,
    "raw list poller": Raw,
}


def environment(folder: str) -> dict[str, str]:
    """Return what makes every client trust the benchmark's certificate, and keep its own state."""
    certificate = f"{folder}/cert.pem"
    return {
        **os.environ,
        "SSL_CERT_FILE": certificate,
        "REQUESTS_CA_BUNDLE": certificate,
        "QAWAIT_STATE": f"{folder}/state",
    }
