"""Settings under ``[tasks]``."""

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from signalbox.core.registry import OneOf, PluginSettings
from signalbox.core.times import parse_span


def _check_span(text: str) -> str:
    parse_span(text)
    return text


Span = Annotated[str, AfterValidator(_check_span)]


class TasksSettings(BaseModel):
    """Who tasks are submitted to, and how patiently."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    default_provider: str | None = None
    """Name of the provider whose polls update tasks that are tracked only; unset: nobody's do."""
    providers: list[Annotated[PluginSettings, OneOf("signalbox.tasks.providers")]] = []
    """Third-party APIs that take tasks."""
    concurrency: Annotated[int, Field(ge=1, le=1_000)] = 64
    """Calls to one provider that may be under way at once."""
    max_attempts: Annotated[int, Field(ge=1, le=1_000)] = 20
    """How often a task is sent at most; one that was put off by a limit or Retry-After was not."""
    max_age: Span = "3d"
    """Age from which on a submission that fails is not repeated, unless it was the first."""
    lookup_after: Span = "10s"
    """Time after which a task that the provider does not know under its reference certainly has not arrived."""
    missing_after: Annotated[int, Field(ge=1, le=1_000)] = 3
    """Polls in a row that must miss a task before it is flagged."""

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        names = [each.name for each in self.providers]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            msg = f"two providers have the name {twice[0]}"
            raise ValueError(msg)
        if self.default_provider is not None and self.default_provider not in names:
            msg = (
                f"default_provider = {self.default_provider!r} is none of the providers ({', '.join(names) or 'none'})"
            )
            raise ValueError(msg)
        return self
