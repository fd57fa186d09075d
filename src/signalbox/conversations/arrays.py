"""The arrays that answer searches: one place for each conversation or monologue, in the order of answers.

That order is company, publish date, transcript, sequence, so that a company is a range, and a page a slice. All arrays
of 1M rows take some 30 MB. They are kept in pieces of raw little-endian numbers, each under its name.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from signalbox.conversations.linking import NONE
from signalbox.conversations.vectors import Codes, Floats, Int32, Ints

UNPUBLISHED: Final = np.iinfo(np.int64).max
"""Stands for the publish date of a transcript that has none; behind all others."""


@dataclass(frozen=True, slots=True)
class Arrays:
    """C companies, T transcripts, N items and G tags. What belongs to no company or transcript has the code C or T."""

    company_ids: Ints
    transcript_ids: Ints
    """In the order company, publish date, id."""
    transcript_types: npt.NDArray[np.int8]
    transcript_companies: Int32
    published: Ints
    """Of transcripts: microseconds UTC, or ``UNPUBLISHED``."""
    tag_ids: Ints
    keys: Ints
    """Of items: their id in the data."""
    kinds: npt.NDArray[np.int8]
    numbers: npt.NDArray[np.uint32]
    """Of items: their number in the order of the files."""
    companies: Int32
    """Of items."""
    transcripts: Int32
    """Of items."""
    speakers: Int32
    """Of items: place in ``speaker_names``, or NONE."""
    tag_starts: Ints
    """G + 1 places in ``tagged``: where the items of each tag begin."""
    tagged: Int32
    """Places of items, ascending for each tag."""
    speaker_names: tuple[str, ...]

    @property
    def size(self) -> int:
        """How many items there are."""
        return len(self.keys)

    def tagged_with(self, tag: int) -> Int32:
        """Places of the items that have a tag, ascending."""
        return self.tagged[self.tag_starts[tag] : self.tag_starts[tag + 1]]


class Drafts(NamedTuple):
    """What an import has found out, in the order of the files. Codes are places in the arrays of ids here."""

    company_ids: Ints
    company_names: Sequence[str]
    transcript_ids: Ints
    transcript_types: Codes
    transcript_companies: Codes
    published: Ints
    tag_ids: Ints
    keys: Ints
    kinds: npt.NDArray[np.int8]
    numbers: Int32
    companies: Int32
    transcripts: Int32
    sequences: Floats
    speakers: Int32
    speaker_names: Sequence[str]
    tag_of: tuple[Int32, Int32]
    """Pairs of an item (its place in ``keys``) and a tag; the same pair may stand there twice."""


class Sorted(NamedTuple):
    """The arrays, and the places that companies and transcripts had before."""

    arrays: Arrays
    companies: Ints
    transcripts: Ints


def sort(drafts: Drafts) -> Sorted:
    """Bring everything into the order of answers."""
    names = np.array([name.casefold() for name in drafts.company_names], dtype=object)
    company_order = np.array(sorted(range(len(names)), key=lambda at: (names[at], drafts.company_ids[at])), dtype=int)
    to_company = _inverse(company_order)
    transcript_companies = to_company[drafts.transcript_companies]
    transcript_order = np.lexsort((drafts.transcript_ids, drafts.published, transcript_companies))
    to_transcript = _inverse(transcript_order)
    companies, transcripts = to_company[drafts.companies], to_transcript[drafts.transcripts]
    order = _order(companies, transcripts, drafts.published[transcript_order], drafts.sequences)
    starts, tagged = _to_postings(drafts.tag_of, _inverse(order)[:-1], len(drafts.tag_ids))
    arrays = Arrays(
        company_ids=drafts.company_ids[company_order],
        transcript_ids=drafts.transcript_ids[transcript_order],
        transcript_types=drafts.transcript_types[transcript_order].astype(np.int8),
        transcript_companies=transcript_companies[transcript_order],
        published=drafts.published[transcript_order],
        tag_ids=drafts.tag_ids,
        keys=drafts.keys[order],
        kinds=drafts.kinds[order],
        numbers=drafts.numbers[order].astype(np.uint32),
        companies=companies[order],
        transcripts=transcripts[order],
        speakers=drafts.speakers[order],
        tag_starts=starts,
        tagged=tagged,
        speaker_names=tuple(drafts.speaker_names),
    )
    return Sorted(arrays, company_order, transcript_order)


def _order(companies: Int32, transcripts: Int32, published: Ints, sequences: Floats) -> Ints:
    """The order of answers; what is equal stays in the order of the files.

    Company, date and transcript become one number: each key more costs a second and 40 MB for 5M items.
    """
    dates, ranks = np.unique(np.append(published, UNPUBLISHED), return_inverse=True)
    places = len(published) + 1
    keys = companies.astype(np.int64)
    keys *= len(dates)
    keys += ranks[transcripts]
    keys *= places
    keys += transcripts
    order = np.argsort(keys, kind="stable")
    keys, ordered = keys[order], sequences[order]
    if np.any((keys[1:] == keys[:-1]) & ~(ordered[1:] >= ordered[:-1])):  # as a rule they stand in order already
        return order[np.lexsort((ordered, keys))]
    return order


def empty() -> Arrays:
    """Those of no data at all."""
    return from_bytes({each.name: b"" for each in fields(Arrays)} | {"tag_starts": bytes(8), "speaker_names": b"[]"})


_TYPES: Final[Mapping[str, str]] = {
    "transcript_types": "<i1",
    "transcript_companies": "<i4",
    "kinds": "<i1",
    "numbers": "<u4",
    "companies": "<i4",
    "transcripts": "<i4",
    "speakers": "<i4",
    "tagged": "<i4",
}


def to_bytes(arrays: Arrays) -> Iterator[tuple[str, bytes]]:
    """The name of each array and its content, one at a time."""
    for each in fields(Arrays):
        if each.name != "speaker_names":
            kind = _TYPES.get(each.name, "<i8")
            yield each.name, np.ascontiguousarray(getattr(arrays, each.name), dtype=kind).tobytes()
    yield "speaker_names", json.dumps(arrays.speaker_names).encode()


def from_bytes(data: Mapping[str, bytes]) -> Arrays:
    """What ``to_bytes`` wrote."""
    found: dict[str, Any] = {
        each.name: np.frombuffer(data[each.name], dtype=_TYPES.get(each.name, "<i8"))
        for each in fields(Arrays)
        if each.name != "speaker_names"
    }
    return Arrays(**found, speaker_names=tuple(json.loads(data["speaker_names"])))


def _inverse(order: Ints) -> Int32:
    """Where each former place went; NONE, the last element from behind, goes behind all."""
    found = np.empty(len(order) + 1, dtype=np.int32)
    found[order] = np.arange(len(order), dtype=np.int32)
    found[NONE] = len(order)
    return found


def _to_postings(tag_of: tuple[Int32, Int32], places: Int32, tags: int) -> tuple[Ints, Int32]:
    """Starts of tags, and places of items by tag."""
    items, codes = tag_of
    pairs = codes.astype(np.int64)
    pairs *= max(1, len(places))
    pairs += places[items]
    pairs.sort()  # np.unique takes ten times as long
    pairs = pairs[np.append(True, np.diff(pairs) > 0)] if len(pairs) else pairs
    owners, tagged = np.divmod(pairs, max(1, len(places)))
    starts = np.searchsorted(owners, np.arange(tags + 1))
    return starts.astype(np.int64), tagged.astype(np.int32)
