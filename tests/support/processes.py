"""The command line and servers as real processes, and a client that is not ours (the standard library's)."""

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

from tests.support.timing import PATIENCE

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
Command = Sequence[str | Path]
"""Words of a command line."""

SIGNALBOX = Path(sys.executable).with_name("signalbox")
ADMIN_PASSWORD = "an-admin's-password"
LIFETIME = 50.0
"""Seconds that a process may take to begin and to do what it is asked: beside many others that takes long."""


# -- commands ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Result:
    """What a command has left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def environment(**variables: str) -> dict[str, str]:
    """Variables of a process: none of those that the tests were started with can change what it does."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "PATH", "TMPDIR") if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), **variables}


def run(*words: str, folder: Path, stdin: str = "", command: Command = (SIGNALBOX,), **variables: str) -> Result:
    """Run ``signalbox`` in a folder to its end."""
    done = subprocess.run(
        [*command, *words],
        cwd=folder,
        env=environment(**variables),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=LIFETIME,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


# -- servers ----------------------------------------------------------------------------------------------------------


class Server:
    """A server process in a session of its own, so that nothing it starts is lost sight of."""

    def __init__(self, command: Command, *, folder: Path, variables: Mapping[str, str]) -> None:
        self.folder = folder
        self._out, self._err = folder / "stdout.txt", folder / "stderr.txt"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                command, cwd=folder, env=environment(**variables), stdout=out, stderr=err, start_new_session=True
            )

    @property
    def out(self) -> str:
        """What it has written to stdout so far."""
        return self._out.read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        """What it has written to stderr so far."""
        return self._err.read_text(encoding="utf-8")

    @property
    def log(self) -> list[dict[str, Any]]:
        """The whole lines of its log so far."""
        lines = self.out.splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}\n")]

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The lines of its log with this event."""
        return [line for line in self.log if line["event"] == event]

    @property
    def url(self) -> str:
        """The address that it says it serves, root path included."""
        said = re.search(r'"address": "([^"]+)"', self.out) or re.search(r"hub +(http://\S+)", self.out)
        if said is None:
            msg = f"the server has not said where it serves; stderr: {self.err}"
            raise AssertionError(msg)
        return said[1]

    def serves(self) -> bool:
        """Whether it answers yet."""
        if self.process.poll() is not None:
            msg = f"the server ended with {self.process.returncode}: {self.out}{self.err}"
            raise AssertionError(msg)
        with contextlib.suppress(OSError, AssertionError, http.client.HTTPException):
            return ask(f"{self.url}/healthz").status == 200
        return False

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process that was started."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait for its end; the exit code, or the negative number of the signal that killed it."""
        return self.process.wait(PATIENCE)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit code."""
        self.send(number)
        return self.wait()

    def members(self) -> dict[int, str]:
        """The living processes of its session, itself included: id and command line."""
        return {pid: command for pid, session, command in _processes() if session == self.process.pid}

    def clear(self) -> None:
        """Kill whatever is left of it."""
        for pid in self.members():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(PATIENCE)


@contextmanager
def started(command: Command, *, folder: Path, **variables: str) -> Iterator[Server]:
    """Any server, while the block runs; it may not serve yet."""
    folder.mkdir(parents=True, exist_ok=True)
    server = Server(command, folder=folder, variables=variables)
    try:
        yield server
    finally:
        server.clear()


@contextmanager
def serving(*words: str, folder: Path, **variables: str) -> Iterator[Server]:
    """``signalbox serve`` on a free port, when it serves; the manager admin has ``ADMIN_PASSWORD`` unless said."""
    given = {"SIGNALBOX_ADMIN_PASSWORD": ADMIN_PASSWORD, **variables}
    with started([SIGNALBOX, "serve", "--port", "0", *words], folder=folder, **given) as server:
        until(server.serves)
        yield server


def python_server(module: str, *, folder: Path, **variables: str) -> AbstractContextManager[Server]:
    """``python -m module`` on a free port; it may not serve yet."""
    return started([sys.executable, "-m", module], folder=folder, SIGNALBOX_PORT="0", **variables)


def _processes() -> Iterator[tuple[int, int, str]]:
    """Id, session and command line of every living process."""
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, _, _, session = (path / "stat").read_text().rpartition(")")[2].split()[:4]
            command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if state != "Z":
                yield int(path.name), int(session), command


# -- requests ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """An answer, header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    token: str | None = None,
    timeout: float = PATIENCE,
) -> Answer:
    """One request on a connection of its own, its path sent as it is."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=timeout)
    sent = {"Connection": "close", **(headers or {}), **({} if token is None else {"Authorization": f"Bearer {token}"})}
    try:
        connection.request(method, url.removeprefix(f"http://{parts.netloc}") or "/", body, sent)
        response = connection.getresponse()
        names = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, names, response.read())
    finally:
        connection.close()


def sign_in(url: str, name: str, password: str, *, scope: str = "") -> Answer:
    """Ask for a person's token."""
    form = urlencode({"username": name, "password": password, "scope": scope})
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return ask(f"{url}/auth/token", method="POST", headers=headers, body=form.encode())


def admin_token(server: Server) -> str:
    """A token of the manager that ``serving`` made."""
    answer = sign_in(server.url, "admin", ADMIN_PASSWORD)
    assert answer.status == 200, answer.text
    return str(answer.json["access_token"])


def until(condition: Callable[[], T], *, within: float = LIFETIME) -> T:
    """Wait until the condition holds; its value."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"the condition did not come true within {within:g} s"
        time.sleep(0.02)
    return value
