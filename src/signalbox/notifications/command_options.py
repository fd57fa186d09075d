"""What commands of ``signalbox notify`` have in common: options, and how values are read from them."""

from typing import Annotated, Any

import typer

from signalbox.core.errors import InvalidError

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Pairs = Annotated[list[str] | None, typer.Option("--metadata", help="name=value, as often as needed.")]
Topic = Annotated[str, typer.Option(help="Topic, in whatever case.")]
App = Annotated[str | None, typer.Option(help="Name of the app.")]
Customer = Annotated[str | None, typer.Option(help="Customer.")]


class InvalidPairError(InvalidError):
    """What was to be name=value is not."""

    code = "invalid_pair"


def to_dict(pairs: list[str] | None) -> dict[str, Any]:
    """The values by their names.

    Raises:
        InvalidPairError: one of the pairs is none.
    """
    found = {}
    for pair in pairs or []:
        name, mark, value = pair.partition("=")
        if not mark or not name:
            msg = f"{pair!r} is not name=value"
            raise InvalidPairError(msg)
        found[name] = value
    return found
