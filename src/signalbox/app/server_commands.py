"""``signalbox serve`` and ``signalbox demo``."""

import asyncio
import logging
from typing import Annotated

import typer
from rich.console import Console

from signalbox.app import demo as demonstration
from signalbox.app.hub import open_context
from signalbox.app.invocation import Invocation
from signalbox.app.server import listen, only_server, prepare, run, start_logging
from signalbox.app.settings import Settings
from signalbox.app.supervisor import Supervisor
from signalbox.auth.errors import WeakPasswordError
from signalbox.auth.runtime import AuthRuntime
from signalbox.core.errors import Fault, SettingsError, UnavailableError

_log = logging.getLogger(__name__)


def add(app: typer.Typer, invocation: Invocation) -> None:
    """Add the commands."""

    @app.command("serve")
    def serve(
        host: Annotated[str | None, typer.Option(help="Address to listen on [default: 127.0.0.1]")] = None,
        port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one [default: 8000]")] = None,
        role: Annotated[str | None, typer.Option(help="all, api, gateway or worker [default: all]")] = None,
        workers: Annotated[int | None, typer.Option(help="Processes on this port [default: 1]")] = None,
        root_path: Annotated[str | None, typer.Option(help="Path under which a proxy serves the hub, as /b")] = None,
    ) -> None:
        """Run the hub until Ctrl-C or SIGTERM; SIGHUP reloads settings."""
        given = {"host": host, "port": port, "role": role, "workers": workers, "root_path": root_path}
        for name, value in given.items():
            invocation.take(name, value)
        _serve(invocation)

    @app.command("demo")
    def demo(
        port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 takes a free one.")] = 8000,
        rate: Annotated[float, typer.Option(min=0.1, max=2000.0, help="Simulated calls a second.")] = 25.0,
        *,
        fast_forward: Annotated[bool, typer.Option("--fast-forward", help="Begin with a day of history.")] = False,
    ) -> None:
        """Run the hub with a simulated third-party API and live traffic; leaves nothing behind."""
        demonstration.run(port=port, rate=rate, fast_forward=fast_forward)


def _serve(invocation: Invocation) -> None:
    settings = invocation.settings()
    start_logging(settings.log)
    for warning in invocation.sources().strangers():
        _log.warning(warning)
    with only_server(settings):
        listener = listen(settings.host, settings.port)  # first: a taken port must not cost the one-time password
        _prepare(settings, invocation.sources().admin_password)
        host, port = listener.getsockname()[:2]
        database = "PostgreSQL" if settings.sqlite_path is None else f"SQLite in {settings.sqlite_path.parent}"
        details = {"address": f"http://{host}:{port}{settings.root_path}", "role": settings.role, "database": database}
        _log.info("serving", extra={**details, "workers": settings.workers})
        if settings.workers > 1:
            Supervisor(settings.workers, listener, invocation.settings).run()
        else:
            run(settings, listener, reload=invocation.settings)
    _log.info("stopped")


def _prepare(settings: Settings, password: str | None) -> None:
    """Schema and first user. Only the gateway role starts without a database: it can serve what needs none."""
    try:
        prepare(settings)
        if settings.role in ("all", "api"):
            _first_user(settings, password)
    except UnavailableError as error:
        if settings.role != "gateway":
            raise
        _log.warning("started without the database", extra={"reason": str(error)})


def _first_user(settings: Settings, password: str | None) -> None:
    """Make ``admin`` where no user exists, and show a made-up password this once: on the terminal, never in the log."""

    async def bootstrap() -> str | None:
        async with open_context(settings) as context:
            auth = AuthRuntime(context, settings.auth)
            try:
                return await auth.bootstrap_admin(password)
            finally:
                await auth.close()

    try:
        made = asyncio.run(bootstrap())
    except WeakPasswordError as error:
        raise SettingsError([Fault("SIGNALBOX_ADMIN_PASSWORD", str(error))]) from None
    if made is not None:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        console.print("First start: the user [bold]admin[/bold] (manager) was made. Its password, shown this once:")
        console.print(made, markup=False)
        console.print("Change it with: signalbox users password admin")
