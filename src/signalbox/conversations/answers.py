"""The answers to searches: plain values, ready to be encoded. What stands in texts comes from the database."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from sqlalchemy import Connection

from signalbox.conversations import models, store, words
from signalbox.conversations.arrays import UNPUBLISHED
from signalbox.conversations.blocks import Content
from signalbox.conversations.errors import ConversationNotFoundError, TextsUnreadyError, VersionGoneError
from signalbox.conversations.filters import Filter
from signalbox.conversations.linking import MONOLOGUE
from signalbox.conversations.schemas import (
    KINDS,
    CountOut,
    DetailPageOut,
    ItemOut,
    OneOut,
    PageOut,
    StatisticsOut,
    ThreadOut,
    TranscriptOut,
)
from signalbox.conversations.searching import Searcher
from signalbox.conversations.vectors import Ints
from signalbox.core.times import to_rfc3339

BATCH: Final = 500
"""Items that one query reads."""


class Slice(NamedTuple):
    """Some of a longer list."""

    items: list[Any]
    next: int | None
    """Where the next ones begin; None behind the last."""


def search(tx: Connection, searcher: Searcher, wanted: Filter) -> Ints:
    """Places of what is found.

    Raises:
        TextsUnreadyError: words are asked for, and not all are findable yet.
    """
    if wanted.words is None:
        return searcher.find(wanted)
    return searcher.find(wanted, _find_words(tx, searcher.version, wanted.words))


def _find_words(tx: Connection, version: int, wanted: Sequence[str]) -> list[int]:
    of = store.find_import(tx, version)
    if of is None or not wanted:
        return []
    if of.texts_done < of.rows_total:
        msg = f"the words of {of.texts_done:,} of {of.rows_total:,} rows are findable so far"
        raise TextsUnreadyError(msg, retry_after=5.0)
    return words.find(tx, version, wanted)


def page(searcher: Searcher, found: Ints, *, number: int, size: int, wanted: Filter) -> PageOut:
    """Ids of one page."""
    some, arrays = found[(number - 1) * size : number * size], searcher.arrays
    kinds = [KINDS[kind] for kind in arrays.kinds[some].tolist()] if wanted.monologues else None
    return PageOut(arrays.keys[some].tolist(), len(found), number, size, kinds)


def detail_page(tx: Connection, searcher: Searcher, found: Ints, *, number: int, size: int) -> DetailPageOut:
    """One page with all that is known."""
    some = found[(number - 1) * size : number * size].tolist()
    return DetailPageOut(read_items(tx, searcher, some), len(found), number, size)


class Found(NamedTuple):
    """A page of a search, and what may be chosen to narrow it: how much of it each company and each tag has."""

    page: DetailPageOut
    companies: list[CountOut]
    tags: list[CountOut]


def with_facets(
    tx: Connection, searcher: Searcher, wanted: Filter, *, number: int, size: int, facets: int = 20
) -> Found:
    """One page with all that is known, and at most so many ``facets`` of each sort, those with most first.

    Raises:
        TextsUnreadyError: as ``search``.
    """
    places, arrays = search(tx, searcher, wanted), searcher.arrays
    companies = _most(searcher.count_companies(places), arrays.company_ids, searcher.company_names, facets)
    tagged = _most(searcher.count_tags(places), arrays.tag_ids, searcher.tag_names, facets)
    return Found(detail_page(tx, searcher, places, number=number, size=size), companies, tagged)


def _most(counts: Ints, ids: Ints, names: Sequence[str], limit: int) -> list[CountOut]:
    order = [at for at in np.lexsort((ids, -counts)).tolist() if counts[at]]
    return [CountOut(int(ids[at]), names[at], int(counts[at])) for at in order[:limit]]


def one(tx: Connection, searcher: Searcher, key: int, kind: int) -> OneOut:
    """An item among its neighbours.

    Raises:
        ConversationNotFoundError: there is none with this id.
    """
    place = searcher.place_of(key, kind)
    if place is None:
        msg = f"there is no {KINDS[kind]} {key}"
        raise ConversationNotFoundError(msg)
    transcript = int(searcher.arrays.transcripts[place])
    if transcript == len(searcher.arrays.transcript_ids):
        return OneOut(read_items(tx, searcher, [place])[0], None, None, None)
    thread = _in_order(tx, searcher, searcher.thread(transcript))
    at = int(np.flatnonzero(thread == place)[0])
    keys = searcher.arrays.keys[thread]
    return OneOut(
        conversation=read_items(tx, searcher, [place])[0],
        transcript=_read_transcripts(tx, searcher, [transcript], {transcript: len(thread)})[0],
        previous=int(keys[at - 1]) if at else None,
        next=int(keys[at + 1]) if at + 1 < len(keys) else None,
    )


def thread(tx: Connection, searcher: Searcher, key: int) -> ThreadOut:
    """A transcript as a whole.

    Raises:
        ConversationNotFoundError: there is none with this id.
    """
    found = np.flatnonzero(searcher.arrays.transcript_ids == key)
    if not len(found):
        msg = f"there is no transcript {key}"
        raise ConversationNotFoundError(msg)
    places = _in_order(tx, searcher, searcher.thread(int(found[0]))).tolist()
    (told,) = _read_transcripts(tx, searcher, [int(found[0])], {int(found[0]): len(places)})
    return ThreadOut(told, read_items(tx, searcher, places))


def _in_order(tx: Connection, searcher: Searcher, thread: Ints) -> Ints:
    """Places of the items of a transcript by sequence, also where some have another company, by which arrays are sorted."""
    companies = searcher.arrays.companies[thread]
    if not len(thread) or companies[0] == companies[-1]:
        return thread
    found = [item.sequence for item in read_items(tx, searcher, thread.tolist())]
    sequences = np.array([np.inf if sequence is None else sequence for sequence in found])
    return thread[np.argsort(sequences, kind="stable")]


def transcripts(tx: Connection, searcher: Searcher, wanted: Filter, *, first: int, limit: int) -> Slice:
    """Transcripts in the order of answers. A filter for items leaves those in which something was found."""
    counts = searcher.count_transcripts(search(tx, searcher, wanted._replace(monologues=True)))
    chosen = searcher.transcripts(wanted)
    if wanted.tags or wanted.speaker or wanted.words is not None:
        chosen &= counts > 0
    places = np.flatnonzero(chosen)[first : first + limit + 1].tolist()
    some = places[:limit]
    rows = _read_transcripts(tx, searcher, some, {place: int(counts[place]) for place in some})
    return Slice(rows, first + limit if len(places) > limit else None)


def companies(tx: Connection, searcher: Searcher, wanted: Filter, *, first: int, limit: int) -> Slice:
    """Companies by name, with how much was found of each; those without, only where nothing was filtered."""
    counts = searcher.count_companies(search(tx, searcher, wanted))
    places = np.flatnonzero((counts > 0) | _is_open(wanted))[first : first + limit + 1].tolist()
    some = places[:limit]
    rows = store.read_ranked(tx, searcher.version, models.company, some)
    ids, names = searcher.arrays.company_ids, searcher.company_names
    items = [CountOut(int(ids[at]), names[at], int(counts[at]), rows[at].logo if at in rows else None) for at in some]
    return Slice(items, first + limit if len(places) > limit else None)


def tags(tx: Connection, searcher: Searcher, wanted: Filter, *, first: int, limit: int) -> Slice:
    """Tags, those with most first; those without anything, only where nothing was filtered."""
    counts = searcher.count_tags(search(tx, searcher, wanted))
    order = np.lexsort((searcher.arrays.tag_ids, -counts))
    places = order[(counts[order] > 0) | _is_open(wanted)][first : first + limit + 1].tolist()
    ids, names = searcher.arrays.tag_ids, searcher.tag_names
    items = [CountOut(int(ids[at]), names[at], int(counts[at])) for at in places[:limit]]
    return Slice(items, first + limit if len(places) > limit else None)


def statistics(tx: Connection, searcher: Searcher, wanted: Filter) -> StatisticsOut:
    """What was found, in numbers."""
    found, arrays = search(tx, searcher, wanted), searcher.arrays
    monologues = int((arrays.kinds[found] == MONOLOGUE).sum())
    counts = searcher.count_transcripts(found)
    dates = arrays.published[counts > 0]
    dates = dates[dates != UNPUBLISHED]
    return StatisticsOut(
        version=searcher.version,
        conversations=len(found) - monologues,
        monologues=monologues,
        transcripts=int((counts > 0).sum()),
        companies=int((searcher.count_companies(found) > 0).sum()),
        tags=int((searcher.count_tags(found) > 0).sum()),
        unlinked=len(found) - int(counts.sum()),
        first_published=to_rfc3339(int(dates.min())) if len(dates) else None,
        last_published=to_rfc3339(int(dates.max())) if len(dates) else None,
    )


def read_items(tx: Connection, searcher: Searcher, places: Sequence[int]) -> list[ItemOut]:
    """All that is known of items."""
    found: list[ItemOut] = []
    for first in range(0, len(places), BATCH):
        some = places[first : first + BATCH]
        numbers = searcher.arrays.numbers[some].tolist()
        contents = store.read_contents(tx, searcher.version, numbers)
        if len(contents) < len(numbers):
            raise VersionGoneError
        tagged = searcher.tags_of(some)
        found += [
            _to_item(searcher, place, contents[number], codes)
            for place, number, codes in zip(some, numbers, tagged, strict=True)
        ]
    return found


def _to_item(searcher: Searcher, place: int, content: Content, tagged: Sequence[int]) -> ItemOut:
    arrays = searcher.arrays
    transcript = int(arrays.transcripts[place])
    linked = transcript < len(arrays.transcript_ids)
    company, company_id = _company(searcher, int(arrays.companies[place]))
    return ItemOut(
        id=int(arrays.keys[place]),
        kind=KINDS[arrays.kinds[place]],
        company=company,
        company_id=company_id,
        transcript_id=int(arrays.transcript_ids[transcript]) if linked else None,
        published=_published(searcher, transcript) if linked else None,
        sequence=content.sequence,
        question=content.question,
        answer=content.answer,
        speaker=content.speaker,
        content=content.content,
        tags=[searcher.tag_names[code] for code in tagged],
    )


def _read_transcripts(
    tx: Connection, searcher: Searcher, places: Sequence[int], counts: Mapping[int, int]
) -> list[TranscriptOut]:
    arrays, rows = searcher.arrays, store.read_ranked(tx, searcher.version, models.transcript, places)
    if len(rows) < len(places):
        raise VersionGoneError
    found = []
    for at in places:
        company, company_id = _company(searcher, int(arrays.transcript_companies[at]))
        found.append(
            TranscriptOut(
                id=int(arrays.transcript_ids[at]),
                type=KINDS[arrays.transcript_types[at]],
                title=rows[at].title,
                company=company,
                company_id=company_id,
                length=rows[at].length,
                publish_date=rows[at].published,
                published=_published(searcher, at),
                count=counts[at],
            )
        )
    return found


def _company(searcher: Searcher, code: int) -> tuple[str | None, int | None]:
    if code >= len(searcher.company_names):
        return None, None
    return searcher.company_names[code], int(searcher.arrays.company_ids[code])


def _published(searcher: Searcher, transcript: int) -> str | None:
    moment = int(searcher.arrays.published[transcript])
    return None if moment == UNPUBLISHED else to_rfc3339(moment)


def _is_open(wanted: Filter) -> bool:
    return wanted._replace(monologues=False) == Filter()
