"""A divi program that is to be stopped while its jobs run: `python divi_victim.py HOW [PROGRAMS]`.

It finds the service by the `QISKIT_IBM_*` variables. HOW is `single`, `merged` or `apart`.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

warnings.simplefilter("ignore")  # divi's own, at its end
sys.path.insert(0, str(Path(__file__).parents[1]))

import qawait.sync  # noqa: E402 - the path comes first
from qawait.adapters.divi import QawaitBackend  # noqa: E402
from support.divi_programs import APART, MERGED, Several, run, vqe  # noqa: E402


def main(how: str, programs: int = 1) -> None:
    """Run until stopped."""
    with qawait.sync.connect() as client:
        backend = QawaitBackend(client, backend="ibm_manila", shots=100, force_sampling=True)
        if how == "single":
            vqe(backend).run()
        else:
            run(Several(backend, programs), MERGED if how == "merged" else APART)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
