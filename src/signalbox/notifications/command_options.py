"""Options that commands of ``signalbox notify`` have in common."""

from typing import Annotated

import typer

Pairs = Annotated[list[str] | None, typer.Option("--metadata", help="name=value, as often as needed.")]
Topic = Annotated[str, typer.Option(help="Topic, in whatever case.")]
App = Annotated[str | None, typer.Option(help="Name of the app.")]
Customer = Annotated[str | None, typer.Option(help="Customer.")]
