"""One function as Lambda runs it: the artefact under Lambda's runtime client, behind the runtime interface emulator."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

_WAIT_SECONDS = 20.0


@dataclass(frozen=True)
class Machine:
    """Python 3.13, the artefact's folder, the folder of Lambda's own libraries, and the emulator."""

    python: Path
    artefact: Path
    libraries: Path
    emulator: Path


class Function:
    """Runs a handler until the end of the block; ends only what it started.

    with Function(machine, "functions.api.main.handler", {"API_KEY": "..."}) as api:
        api.invoke(event)
    """

    def __init__(self, machine: Machine, handler: str, environment: dict[str, str], seconds: int = 30) -> None:
        self.name = handler.split(".")[1]
        self._machine = machine
        self._handler = handler
        self._environment = environment
        self._seconds = seconds
        self._lines: list[str] = []

    def __enter__(self) -> Self:
        machine = self._machine
        self._port, runtime_port = _free_port(), _free_port()
        command = [
            *(str(machine.emulator), "--log-level", "error"),
            *("--runtime-interface-emulator-address", f"127.0.0.1:{self._port}"),
            *("--runtime-api-address", f"127.0.0.1:{runtime_port}"),
            # Nothing of this Python's own packages: what the artefact lacks must be missed.
            *(str(machine.python), "-S", "-m", "awslambdaric", self._handler),
        ]
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(machine.artefact),
            "TZ": ":UTC",
            "PYTHONPATH": f"{machine.artefact}:{machine.libraries}",
            "LAMBDA_TASK_ROOT": str(machine.artefact),
            "AWS_LAMBDA_FUNCTION_NAME": self.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(self._seconds),
            "AWS_REGION": "eu-central-1",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "NO_PROXY": "127.0.0.1,localhost",
            **self._environment,
        }
        self._process = subprocess.Popen(  # noqa: S603 - the emulator, on loopback
            command,
            cwd=machine.artefact,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        deadline = time.monotonic() + _WAIT_SECONDS
        while not _listens(self._port):
            assert self._process.poll() is None, self.printed
            assert time.monotonic() < deadline, "the emulator does not listen"
            time.sleep(0.02)
        return self

    def __exit__(self, *_exc: object) -> None:
        children = self.children()
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
        for pid in children:
            if self._is_ours(pid):
                os.kill(pid, signal.SIGKILL)
        self._reader.join(5)
        if self._process.stdout is not None:
            self._process.stdout.close()

    @property
    def printed(self) -> str:
        """Everything the function and the emulator wrote."""
        return "".join(self._lines)

    def logged(self) -> list[dict[str, Any]]:
        """The lines that are JSON: the log and the metrics."""
        return [json.loads(line) for line in self.printed.splitlines() if line.startswith("{")]

    def invoke(self, event: object) -> Any:  # noqa: ANN401 - any JSON
        """Return what the handler answers to an event, or Lambda's error object; a runtime that died is a text."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}/2015-03-31/functions/function/invocations",
            data=json.dumps(event).encode(),
            method="POST",
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as response:
                return json.loads(response.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.read().decode()

    def children(self) -> list[int]:
        """Return the processes that the emulator runs the handler in."""
        listed = Path(f"/proc/{self._process.pid}/task").glob("*/children")
        return [int(pid) for path in listed for pid in path.read_text().split()]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the handler's process: SIGSTOP is what freezing is to it."""
        [pid] = self.children()
        os.kill(pid, number)

    def _is_ours(self, pid: int) -> bool:
        try:
            return b"awslambdaric" in Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
