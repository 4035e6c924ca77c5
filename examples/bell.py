"""Run a Bell pair on an embedded service and watch it: no account, no network."""

import anyio
from qiskit import QuantumCircuit

import qawait


async def main() -> None:
    """Submit the circuit, show each change of its status, and print what was measured."""
    bell = QuantumCircuit(2)
    bell.h(0)
    bell.cx(0, 1)
    bell.measure_all()

    often = qawait.PollSchedule(lateness=0.05)  # a quarter of a second would be usual
    async with qawait.local(queue_seconds=1, run_seconds=1, schedule=often) as client:
        job = await client.submit(bell, backend="ibm_fez", shots=4096)
        print(job)
        shown = None
        async for update in job.updates():
            if update.stage is not shown:
                print(update)
            shown = update.stage
        result = await job
        print(result[0].data.meas.get_counts())


if __name__ == "__main__":
    anyio.run(main)
