from typing import Any

import typer
from typer.core import TyperGroup
from typer.testing import CliRunner

from signalbox.app.lazy import LazyCommand, load_from, new_app


def test_a_command_is_loaded_when_it_is_called_and_not_for_the_list_of_all() -> None:
    loaded: list[str] = []

    def add(app: typer.Typer) -> None:
        loaded.append("now")

        @app.command("greet", help="Say hello.")
        def greet(name: str) -> None:
            typer.echo(f"hello {name}")

    class Commands(TyperGroup):
        def __init__(self, **more: Any) -> None:
            super().__init__(**more)
            self.add_command(LazyCommand("greet", help_text="Say hello.", load=lambda: load_from(add, "greet")))

    app = new_app(cls=Commands)
    app.callback()(lambda: None)
    runner = CliRunner()
    assert "Say hello." in runner.invoke(app, ["--help"]).output
    assert loaded == []
    called = runner.invoke(app, ["greet", "you"])
    assert (called.exit_code, called.output) == (0, "hello you\n")
    wrong = runner.invoke(app, ["greet"])
    assert wrong.exit_code == 2
    assert "greet" in wrong.output
    assert loaded == ["now"] * 2
