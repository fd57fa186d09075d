"""Reads all that says what belongs together, and nothing else: texts are read later, a few at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from signalbox.conversations.arrays import UNPUBLISHED, Drafts
from signalbox.conversations.dataset import Dataset, Part
from signalbox.conversations.dates import parse_published
from signalbox.conversations.ledger import Ledger
from signalbox.conversations.linking import (
    CONVERSATION,
    MONOLOGUE,
    NONE,
    chain_starts,
    find_repeats,
    link_runs,
    name_blocks,
    number_blocks,
    number_runs,
)
from signalbox.conversations.parts import Numbers, Table, read_whole
from signalbox.conversations.schemas import KINDS, Report
from signalbox.conversations.vectors import Bools, Codes, Floats, Int32, Ints

Texts = list[str | None]

PIECE: Final = 500_000
"""Rows that are looked up at a time, for the sake of memory."""


class Named(NamedTuple):
    """Companies or tags that were taken."""

    ids: Ints
    names: list[str]
    more: Texts
    ledger: Ledger


class Transcripts(NamedTuple):
    """Transcripts that were taken. Those of ``slots`` are places in them, NONE for one that was rejected."""

    ids: Ints
    types: Codes
    companies: Codes
    published: Ints
    titles: Texts
    lengths: Texts
    dates: Texts
    slots: tuple[Codes, Codes]
    """In the order of the files: those of type conversation, and those of type monologue."""
    ledger: Ledger


class Columns(NamedTuple):
    """Rows of one kind as files have them, but for texts."""

    ids: Numbers
    sequences: Floats
    tags: Numbers
    transcripts: Numbers
    companies: Numbers
    speakers: Int32
    ledger: Ledger


class Items(NamedTuple):
    """Rows of one kind that were taken."""

    keys: Ints
    taken: Bools
    """Of all rows of the kind."""
    transcripts: Int32
    companies: Int32
    sequences: Floats
    speakers: Int32
    tag_of: tuple[Int32, Int32]
    ledger: Ledger


@dataclass(frozen=True, slots=True)
class Draft:
    """What is known of a data set before its texts are read."""

    drafts: Drafts
    companies: Named
    tags: Named
    transcripts: Transcripts
    rows: int
    """Rows of conversations and monologues; each has its number in this order."""
    taken: Bools
    """Which of them are items of their own."""
    report: Report


def draft(dataset: Dataset) -> Draft:
    """Look through a data set.

    Raises:
        CorruptPartError: a part cannot be read.
        InvalidDatasetError: a part lacks a required column.
    """
    notes = list(dataset.notes)
    companies = _read_named(dataset.parts["company"], "id_company", "company_name", "logo")
    tags = _read_named(dataset.parts["tag"], "id_tag", "tag_value", None)
    transcripts = _read_transcripts(dataset.parts["transcript"], companies, notes)
    speakers: dict[str, int] = {}
    kinds = [
        _read_items(
            dataset.parts[name],
            kind,
            companies=companies.ids,
            tags=tags.ids,
            transcripts=transcripts,
            speakers=speakers,
            notes=notes,
        )
        for kind, name in enumerate(KINDS)
    ]
    taken = np.concatenate([kind.taken for kind in kinds])
    ledgers = (companies.ledger, tags.ledger, transcripts.ledger, *(kind.ledger for kind in kinds))
    report: Report = {"files": [file for ledger in ledgers for file in ledger.files()], "notes": notes}
    drafts = _to_drafts(companies, tags, transcripts, kinds, list(speakers))
    return Draft(drafts, companies, tags, transcripts, len(taken), taken, report)


def _to_drafts(
    companies: Named, tags: Named, transcripts: Transcripts, kinds: Sequence[Items], speakers: list[str]
) -> Drafts:
    first, second = kinds
    return Drafts(
        company_ids=companies.ids,
        company_names=companies.names,
        transcript_ids=transcripts.ids,
        transcript_types=transcripts.types,
        transcript_companies=transcripts.companies,
        published=transcripts.published,
        tag_ids=tags.ids,
        keys=np.concatenate((first.keys, second.keys)),
        kinds=np.repeat(np.array([CONVERSATION, MONOLOGUE], dtype=np.int8), [len(first.keys), len(second.keys)]),
        numbers=np.flatnonzero(np.concatenate((first.taken, second.taken))).astype(np.int32),
        companies=np.concatenate((first.companies, second.companies)),
        transcripts=np.concatenate((first.transcripts, second.transcripts)),
        sequences=np.concatenate((first.sequences, second.sequences)),
        speakers=np.concatenate((first.speakers, second.speakers)),
        speaker_names=speakers,
        tag_of=(
            np.concatenate((first.tag_of[0], second.tag_of[0] + np.int32(len(first.keys)))),
            np.concatenate((first.tag_of[1], second.tag_of[1])),
        ),
    )


# -- companies, tags --------------------------------------------------------------------------------------------------


def _read_named(parts: Sequence[Part], key: str, name: str, more: str | None) -> Named:
    columns = [key, name, *([] if more is None else [more])]
    tables = [read_whole(part, columns, required=[key, name]) for part in parts]
    ids, ledger = _numbers(tables, key), _ledger(tables)
    names = _texts(tables, name)
    blank = np.array([text is None or not text.strip() for text in names], dtype=np.bool_)
    _reject_wrong_ids(ledger, ids, key)
    ledger.reject(blank, f"{name} is empty")
    kept = np.flatnonzero(~ledger.rejected())
    others = _texts(tables, more) if more is not None else [None] * len(names)
    return Named(ids.values[kept], [names[at] or "" for at in kept], [others[at] for at in kept], ledger)


def _reject_wrong_ids(ledger: Ledger, ids: Numbers, key: str) -> None:
    ledger.reject(~ids.known, f"{key} is no whole number")
    again = np.ones(len(ids.known), dtype=np.bool_)
    at = np.flatnonzero(ids.known)
    again[at[np.unique(ids.values[at], return_index=True)[1]]] = False
    ledger.reject(again, f"{key} stands there twice")


# -- transcripts ------------------------------------------------------------------------------------------------------


def _read_transcripts(parts: Sequence[Part], companies: Named, notes: list[str]) -> Transcripts:
    columns = ["id_transcript", "title", "transcript_type", "length", "publish_date", "id_company"]
    tables = [read_whole(part, columns, required=["id_transcript", "transcript_type"]) for part in parts]
    ids, ledger = _numbers(tables, "id_transcript"), _ledger(tables)
    types = np.array([_to_type(text) for text in _texts(tables, "transcript_type")], dtype=np.int64)
    ledger.reject(types == NONE, f"transcript_type is neither {' nor '.join(KINDS)}")
    _reject_wrong_ids(ledger, ids, "id_transcript")
    titles = _texts(tables, "title")
    owners = _owners(types, titles, companies, explicit=_numbers(tables, "id_company"), ledger=ledger, notes=notes)
    dates = _texts(tables, "publish_date")
    published = np.array([_to_published(text) for text in dates], dtype=np.int64)
    unread = int((published == UNPUBLISHED).sum()) - sum(text is None for text in dates)
    _note(notes, unread, "publish dates cannot be read")
    kept = np.flatnonzero(~ledger.rejected())
    places = np.full(len(types), NONE)
    places[kept] = np.arange(len(kept))
    lengths = _texts(tables, "length")
    return Transcripts(
        ids=ids.values[kept],
        types=types[kept],
        companies=owners[kept],
        published=published[kept],
        titles=[titles[at] for at in kept],
        lengths=[lengths[at] for at in kept],
        dates=[dates[at] for at in kept],
        slots=(places[types == CONVERSATION], places[types == MONOLOGUE]),
        ledger=ledger,
    )


def _to_type(text: str | None) -> int:
    folded = (text or "").strip().casefold()
    return next((code for code, kind in enumerate(KINDS) if kind == folded), NONE)


def _to_published(text: str | None) -> int:
    found = None if text is None else parse_published(text)
    return UNPUBLISHED if found is None else found


def _owners(
    types: Codes, titles: Texts, companies: Named, *, explicit: Numbers, ledger: Ledger, notes: list[str]
) -> Codes:
    """The company of each transcript: the one that it names, else that of its block."""
    typed = np.flatnonzero(types != NONE)
    blocks = number_blocks(types[typed])
    owners, reasons = name_blocks(blocks, types[typed], [titles[at] for at in typed], companies.names)
    found = np.full(len(types), NONE)
    found[typed] = owners[blocks]
    found[explicit.known] = find_codes(companies.ids, explicit)[explicit.known]
    ledger.unlink(explicit.known & (found == NONE), "id_company names no company")
    for block, reason in reasons.items():
        rows = np.zeros(len(types), dtype=np.bool_)
        rows[typed[blocks == block]] = True
        rows &= ~explicit.known
        if rows.any():
            ledger.unlink(rows, reason)
            first = next((titles[at] for at in np.flatnonzero(rows)), None)
            notes.append(f"{int(rows.sum())} transcripts from {first!r} on have no company: {reason}")
    return found


# -- conversations and monologues -------------------------------------------------------------------------------------


def _read_items(
    parts: Sequence[Part],
    kind: int,
    *,
    companies: Ints,
    tags: Ints,
    transcripts: Transcripts,
    speakers: dict[str, int],
    notes: list[str],
) -> Items:
    name, read = KINDS[kind], _read_columns(parts, kind, speakers)
    repeats, again = find_repeats(read.ids.values, read.ids.known)
    read.ledger.reject(~read.ids.known, f"id_{name} is no whole number")
    read.ledger.reject(again, f"id_{name} stands there twice")
    runs = number_runs(read.sequences, repeats)
    linked = _link(kind, runs, explicit=read.transcripts, transcripts=transcripts, ledger=read.ledger, notes=notes)
    kept = ~read.ledger.rejected() & ~repeats
    return Items(
        read.ids.values[kept],
        kept,
        linked[kept],
        _companies(read.companies, linked, companies=companies, transcripts=transcripts, ledger=read.ledger)[kept],
        read.sequences[kept],
        read.speakers[kept],
        _tags(name, read, repeats, kept, tags=tags, notes=notes),
        read.ledger,
    )


def _read_columns(parts: Sequence[Part], kind: int, speakers: dict[str, int]) -> Columns:
    """What files say, of all parts; they themselves are let go."""
    name = KINDS[kind]
    key, sequence = f"id_{name}", f"sequence_{name}"
    columns = [key, sequence, "id_tag", "id_transcript", "id_company", *(["speaker"] if kind == MONOLOGUE else [])]
    tables = [read_whole(part, columns, required=[key]) for part in parts]
    return Columns(
        ids=_numbers(tables, key),
        sequences=_floats(tables, sequence),
        tags=_numbers(tables, "id_tag"),
        transcripts=_numbers(tables, "id_transcript"),
        companies=_numbers(tables, "id_company"),
        speakers=_speakers(tables, speakers),
        ledger=_ledger(tables),
    )


def _companies(explicit: Numbers, linked: Int32, *, companies: Ints, transcripts: Transcripts, ledger: Ledger) -> Int32:
    """The company of each row: the one that it names, else that of its transcript."""
    owners = np.append(transcripts.companies, NONE).astype(np.int32)[linked]
    if not explicit.known.any():
        return owners
    named = find_codes(companies, explicit)
    ledger.unlink(explicit.known & (named == NONE), "id_company names no company")
    return np.where(explicit.known, named, owners)


def _tags(
    name: str, read: Columns, repeats: Bools, kept: Bools, *, tags: Ints, notes: list[str]
) -> tuple[Int32, Int32]:
    """Pairs of an item and its tag."""
    codes = find_codes(tags, read.tags)
    _note(notes, int((read.tags.known & (codes == NONE)).sum()), f"rows of {name} name a tag that there is not")
    tagged = np.flatnonzero((codes != NONE) & ~read.ledger.rejected())
    places = np.cumsum(kept, dtype=np.int32) - np.int32(1)
    return places[chain_starts(repeats)[tagged]], codes[tagged]


def _link(
    kind: int, runs: Int32, *, explicit: Numbers, transcripts: Transcripts, ledger: Ledger, notes: list[str]
) -> Int32:
    """The transcript of each row: the one that it names, else that of its run."""
    slots = transcripts.slots[kind]
    by_order, count = link_runs(runs, slots)
    linked = by_order
    if explicit.known.any():
        linked = np.where(explicit.known, find_codes(transcripts.ids, explicit), by_order)
    ledger.unlink(explicit.known & (linked == NONE), "id_transcript names no transcript")
    if count != len(slots) and not explicit.known.all():
        name = KINDS[kind]
        notes.append(
            f"there are {count} runs of rows of {name} and {len(slots)} transcripts of that type: "
            "it is not sure which belong together, so none were linked by their order"
        )
        ledger.unlink(linked == NONE, "runs and transcripts do not add up")
    ledger.unlink((linked == NONE) & (runs == NONE), "it stands before the first row whose sequence is 1")
    ledger.unlink(linked == NONE, "its transcript was rejected")
    return linked


def find_codes(ids: Ints, wanted: Numbers) -> Int32:
    """For each wanted id its place in ``ids``, NONE where it is not among them."""
    found = np.full(len(wanted.values), NONE, dtype=np.int32)
    if not len(ids):
        return found
    order = np.argsort(ids, kind="stable").astype(np.int32)
    for first in range(0, len(found), PIECE):
        some = slice(first, first + PIECE)
        values = wanted.values[some]
        near = order[np.minimum(np.searchsorted(ids, values, sorter=order), len(ids) - 1)]
        found[some] = np.where(wanted.known[some] & (ids[near] == values), near, NONE)
    return found


def _speakers(tables: Sequence[Table], known: dict[str, int]) -> Int32:
    """The code of each row's speaker; new ones are added to ``known``."""
    found: list[Int32] = [np.zeros(0, dtype=np.int32)]
    for table in tables:
        if "speaker" not in table.columns:
            found.append(np.full(table.rows, NONE, dtype=np.int32))
            continue
        encoded = table.encoded("speaker")
        codes = [
            NONE if text is None or not text.strip() else known.setdefault(text, len(known)) for text in encoded.texts
        ]
        found.append(np.append(np.array(codes, dtype=np.int32), np.int32(NONE))[encoded.codes])
    return np.concatenate(found)


# -- columns over all parts -------------------------------------------------------------------------------------------


def _ledger(tables: Sequence[Table]) -> Ledger:
    return Ledger([(table.part.name, table.rows) for table in tables])


def _numbers(tables: Sequence[Table], name: str) -> Numbers:
    if not any(name in table.columns for table in tables):
        rows = sum(table.rows for table in tables)
        return Numbers(np.broadcast_to(np.int64(0), rows), np.broadcast_to(np.False_, rows))  # takes no memory
    found = [table.numbers(name) for table in tables]
    values = np.concatenate([np.zeros(0, dtype=np.int64), *(each.values for each in found)])
    return Numbers(values, np.concatenate([np.zeros(0, dtype=np.bool_), *(each.known for each in found)]))


def _floats(tables: Sequence[Table], name: str) -> Floats:
    return np.concatenate([np.zeros(0), *(table.floats(name) for table in tables)])


def _texts(tables: Sequence[Table], name: str) -> Texts:
    return [text for table in tables for text in table.texts(name)]


def _note(notes: list[str], count: int, what: str) -> None:
    if count:
        notes.append(f"{count} {what}")
