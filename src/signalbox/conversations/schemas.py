"""What goes over the wire, and what an import says of itself."""

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

import msgspec
from pydantic import AwareDatetime, BaseModel

ImportState = Literal["queued", "loading", "live", "replaced", "unchanged", "failed"]
"""``unchanged``: the same files were live already."""

Kind = Literal["conversation", "monologue"]
KINDS: tuple[Kind, ...] = ("conversation", "monologue")


class FileReport(TypedDict):
    """What became of the rows of one file. A row that is linked, unlinked or rejected was read."""

    file: str
    read: int
    linked: int
    """Their transcript is known; of transcripts: their company. All rows of companies and tags that were taken."""
    unlinked: int
    rejected: int
    reasons: dict[str, int]
    """Why rows were rejected or stayed unlinked, and how many."""


class Report(TypedDict):
    """What an import did."""

    files: list[FileReport]
    notes: list[str]
    """What does not add up."""


class ImportOut(BaseModel):
    """An import."""

    id: int
    state: ImportState
    source: str
    actor: str
    rows_total: int
    """0 until the files have been looked through."""
    rows_done: int
    texts_done: int
    """Rows whose words ``q`` finds; that is done after the import is live."""
    report: dict[str, Any] | None
    error: str | None
    created_at: AwareDatetime
    live_at: AwareDatetime | None


class ItemOut(msgspec.Struct, frozen=True):
    """A conversation (question and answer) or a monologue (speaker and content)."""

    id: int
    kind: Kind
    company: str | None
    company_id: int | None
    transcript_id: int | None
    published: str | None
    """RFC 3339; None where the data says none that can be read."""
    sequence: float | None
    question: str | None
    answer: str | None
    speaker: str | None
    content: str | None
    tags: list[str]


class PageOut(msgspec.Struct, frozen=True, omit_defaults=True):
    """One page of what was found."""

    conversation_ids: list[int]
    total: int
    """Of all pages; ids are counted once."""
    page: int
    per_page: int
    kinds: list[Kind] | None = None
    """Of each id, where monologues are included: the two kinds are numbered apart."""


class DetailPageOut(msgspec.Struct, frozen=True):
    """One page of what was found, with ``detail=true``."""

    conversations: list[ItemOut]
    total: int
    page: int
    per_page: int


class CountOut(msgspec.Struct, frozen=True):
    """A company or a tag, and how much of what was found is its own."""

    id: int
    name: str
    count: int
    logo: str | None = None


class TranscriptOut(msgspec.Struct, frozen=True):
    """A transcript; ``count`` tells how many of its rows were found."""

    id: int
    type: Kind
    title: str | None
    company: str | None
    company_id: int | None
    length: str | None
    publish_date: str | None
    """As the data has it."""
    published: str | None
    count: int


class ThreadOut(msgspec.Struct, frozen=True):
    """A transcript as a whole, in order."""

    transcript: TranscriptOut
    items: list[ItemOut]


class OneOut(msgspec.Struct, frozen=True):
    """A conversation among its neighbours; ids of those before and behind it in its transcript."""

    conversation: ItemOut
    transcript: TranscriptOut | None
    previous: int | None
    next: int | None


class StatisticsOut(msgspec.Struct, frozen=True):
    """What was found, in numbers."""

    version: int
    """Number of the import that is live; 0 while there is none."""
    conversations: int
    monologues: int
    transcripts: int
    companies: int
    tags: int
    unlinked: int
    """Without a transcript."""
    first_published: str | None
    last_published: str | None


def summarize(report: Mapping[str, Any]) -> dict[str, int]:
    """Totals over all files: read, linked, unlinked, rejected."""
    return {name: sum(file[name] for file in report["files"]) for name in ("read", "linked", "unlinked", "rejected")}
