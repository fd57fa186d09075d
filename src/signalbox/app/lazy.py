"""Commands that are imported when they are called."""

from collections.abc import Callable
from typing import Any, cast

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

Context = Any
"""A context of the command line, whose type Typer keeps to itself."""

Load = Callable[[], TyperCommand | TyperGroup]


class LazyCommand(TyperCommand):
    """Stands for a command, with its name and help, until it is called."""

    def __init__(self, name: str, *, help_text: str, load: Load) -> None:
        super().__init__(name, help=help_text)
        self._load = load

    def make_context(self, info_name: str | None, args: list[str], parent: Context = None, **extra: Any) -> Context:
        """The context of the command itself; it is imported now."""
        return self._load().make_context(info_name, args, parent, **extra)


def new_app(**more: Any) -> typer.Typer:
    """An empty command line with the looks of this one."""
    return typer.Typer(rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False, **more)


def load_from(add: Callable[[typer.Typer], None], name: str) -> TyperCommand | TyperGroup:
    """The command of this name among those that ``add`` adds."""
    app = new_app()
    app.callback()(lambda: None)
    add(app)
    return cast("TyperCommand | TyperGroup", get_group(app).commands[name])
