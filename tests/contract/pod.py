"""Stands for the kubelet and a pod whose containers share their processes: PID 1 of a namespace of its own.

Starts the companion, then, once it is connected, the application; starts again what ended. Not a test, run by one:
pod.py STATE COMPANION APPLICATION LOG ENVIRONMENT
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path


def main(state: Path, companion: str, application: str, log: Path, environment: dict[str, str]) -> None:
    password = Path(environment["PASSWORD_FILE"]).read_text()
    running: dict[str, subprocess.Popen[bytes]] = {}
    with log.open("ab", buffering=0) as output:

        def start(name: str, script: str, own: dict[str, str]) -> None:
            command = ["setpriv", "--reuid=10001", "--regid=10001", "--clear-groups", "bash", script]
            running[name] = subprocess.Popen(
                command, env=own, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
            output.write(f"started {name}\n".encode())

        def due(name: str) -> bool:
            return name not in running or running[name].poll() is not None

        while True:
            if due("companion"):
                start("companion", companion, environment)
            if due("application") and ("application" in running or (state / "connected").exists()):
                start("application", application, {**environment, "PGPASSWORD": password})
            # What lost its parent is ours to bury, but never one that `poll` waits for.
            known = {process.pid for process in running.values()}
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit() and int(entry.name) not in known | {1}:
                    bury(int(entry.name))
            time.sleep(0.1)


def bury(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4]), json.loads(sys.argv[5]))
