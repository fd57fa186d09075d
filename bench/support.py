"""Processes of a measurement: found, started on one core each, waited for and stopped.

The system under test has core 0 for itself; the upstream and the load generator share core 1.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

BENCH = Path(__file__).parent
TESTED_CORE = 0
LOAD_CORE = 1
CORES_NEEDED = 2
START_SECONDS = 20.0
STOP_SECONDS = 15.0
_USER_TIME, _SYSTEM_TIME, _RSS = 14, 15, 24
_LOCAL, _REMOTE, _STATE, _INODE, _LISTEN = 1, 2, 3, 9, "0A"
"""Columns of ``/proc/<pid>/net/tcp``, and the state of a listener there."""
_GUEST = 9
"""Column of ``/proc/stat`` from which on times are counted twice."""
MISSING = 2
"""Exit status when the machine lacks something."""

INSTALL = {
    "etcd": "apt-get install etcd-server",
    "redis-server": "apt-get install redis-server",
    "nginx": "apt-get install nginx-light",
    "caddy": "apt-get install caddy, or https://caddyserver.com/docs/install",
    "wrk": "apt-get install wrk",
    "taskset": "apt-get install util-linux",
    "signalbox": "make install",
}


@dataclass(frozen=True)
class Running:
    """A started server: where it listens, and its process (also the id of its process group)."""

    url: str
    pid: int
    token: str = ""
    """What the load sends as header ``Token``."""


Start = Callable[[Path], AbstractContextManager[Running]]


@dataclass(frozen=True)
class Candidate:
    """What is measured. ``start`` gets an empty folder for its files; ``settings`` goes into the report.

    ``path`` is what the load generator asks for. ``proof`` is a header of its second answer, and what its value must
    hold, so that nothing is measured but what the name says.
    """

    name: str
    settings: str
    start: Start
    path: str = "/categories/MLA97994"
    proof: tuple[str, str] | None = None
    shares_core: bool = False
    """Whether what it needs runs in processes that are not its own, so that its core is never its own either."""


def require(*names: str) -> None:
    """Exit with status 2 and say what to install, unless all tools and two cores are there."""
    missing = [name for name in names if find(name) is None]
    for name in missing:
        sys.stderr.write(f"{name} is missing: {INSTALL[name]}\n")
    if len(os.sched_getaffinity(0)) < CORES_NEEDED:
        sys.stderr.write("two cores are needed: one for what is measured, one for the load\n")
        missing.append("core")
    if missing:
        raise SystemExit(MISSING)


def find(name: str) -> str | None:
    """Return the path of a tool: beside this Python first, then on PATH and where Debian keeps servers."""
    places = [str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin"]
    return shutil.which(name, path=os.pathsep.join(places))


def tool(name: str) -> str:
    """Return the path of a tool that ``require`` has seen."""
    path = find(name)
    if path is None:
        raise FileNotFoundError(name)
    return path


def version(*command: str) -> str:
    """Return the first line that a tool says about itself."""
    path = find(command[0])
    if path is None:
        return "not installed"
    ran = subprocess.run([path, *command[1:]], capture_output=True, text=True, check=False)
    return (ran.stdout + ran.stderr).strip().splitlines()[0]


def on_core(core: int, command: Sequence[str]) -> list[str]:
    """Return the command that runs ``command`` on one core."""
    return [tool("taskset"), "-c", str(core), *command]


def free_port() -> int:
    """Return a port of the loopback address that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def folder() -> Iterator[Path]:
    """Yield an empty folder that goes away afterwards; TMPDIR chooses the disk."""
    with tempfile.TemporaryDirectory(prefix="signalbox-bench-") as name:
        yield Path(name)


@contextmanager
def server(
    command: Sequence[str], port: int, *, place: Path, core: int = TESTED_CORE, env: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """Run a server on a core until the block ends; yields when its port answers.

    What it prints goes to the file ``log`` in ``place``.
    """
    log = place / "log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            on_core(core, command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
    try:
        wait(lambda: _listens(port) or _ended(process), log)
        yield Running(f"http://127.0.0.1:{port}", process.pid)
    finally:
        stop(process)


def wait(ready: Callable[[], bool], log: Path) -> None:
    """Wait for a server that has just been started; raises RuntimeError with the end of its log when it fails."""
    until = time.monotonic() + START_SECONDS
    try:
        while not ready():
            _check_time(until)
            time.sleep(0.05)
    except RuntimeError as error:
        error.add_note(log.read_text(errors="replace")[-2000:])
        raise


def _check_time(until: float) -> None:
    if time.monotonic() > until:
        msg = f"not ready after {START_SECONDS:g} s"
        raise RuntimeError(msg)


def answers(url: str) -> bool:
    """Tell whether the address answers 2xx or 3xx."""
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except OSError:
        return False


def resident(group: int) -> int:
    """Return the resident memory of a process group in bytes."""
    return sum(_stat(member, _RSS) for member in _members(group)) * os.sysconf("SC_PAGE_SIZE")


def open_files(pid: int) -> int:
    """Return the number of file descriptors that a process has open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def connections(pid: int) -> list[tuple[int, int]]:
    """Return the local and the remote port of each TCP connection that a process holds; listeners are left out."""
    own = {target.removeprefix("socket:[").removesuffix("]") for target in _targets(pid)}
    lines = [line.split() for name in ("tcp", "tcp6") for line in _lines(f"/proc/{pid}/net/{name}")]
    return [
        (_port(line[_LOCAL]), _port(line[_REMOTE])) for line in lines if line[_INODE] in own and line[_STATE] != _LISTEN
    ]


def _targets(pid: int) -> Iterator[str]:
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            yield str(entry.readlink())


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()[1:]


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)


def is_over(pid: int) -> bool:
    """Tell whether a process has ended; whoever started it may still have to take note."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def cpu_seconds(group: int) -> float:
    """Return the processor time that the living members of a process group have used, in seconds."""
    ticks = sum(_stat(member, _USER_TIME) + _stat(member, _SYSTEM_TIME) for member in _members(group))
    return ticks / os.sysconf("SC_CLK_TCK")


class CoreWatch:
    """Tells how much of a core some processes used since it was made, and how much others did beside them.

    ``own`` returns the processor time that those processes have used so far, in seconds.
    """

    def __init__(self, core: int, own: Callable[[], float]) -> None:
        self._core, self._own = core, own
        self._own_before, self._busy_before, self._started = own(), _busy_seconds(core), time.perf_counter()

    def shares(self) -> tuple[float, float]:
        """Return the share of the core's time that the processes had, and the share that others had."""
        seconds = time.perf_counter() - self._started
        own = self._own() - self._own_before
        return own / seconds, max(0.0, _busy_seconds(self._core) - self._busy_before - own) / seconds


def _busy_seconds(core: int) -> float:
    """Return the time that a core was not idle, in seconds; what the machine's host took of it counts as busy."""
    fields = next(
        line.split() for line in Path("/proc/stat").read_text().splitlines() if line.startswith(f"cpu{core} ")
    )
    user, nice, system, _idle, _waiting, *others = (int(field) for field in fields[1:_GUEST])
    return (user + nice + system + sum(others)) / os.sysconf("SC_CLK_TCK")


def _members(group: int) -> list[Path]:
    return [place for place in Path("/proc").glob("[0-9]*") if _group_of(int(place.name)) == group]


def _group_of(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def _stat(process: Path, field: int) -> int:
    """Return a field of proc(5)'s ``stat`` by its number there; 0 when the process has just ended."""
    try:
        after_name = (process / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(after_name[field - 3])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _ended(process: subprocess.Popen[bytes]) -> bool:
    if (status := process.poll()) is not None:
        msg = f"{process.args!r} ended with status {status}"
        raise RuntimeError(msg)
    return False


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process group: first asked, then made to."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, how)
            process.wait(STOP_SECONDS)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
        return
