"""Answers searches from arrays: which items, in order, and what they add up to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from signalbox.conversations.arrays import UNPUBLISHED, Arrays, empty
from signalbox.conversations.filters import Filter, fold
from signalbox.conversations.linking import CONVERSATION
from signalbox.conversations.schemas import KINDS
from signalbox.conversations.vectors import Bools, Int32, Ints

NO_VERSION: Final = 0


@dataclass(frozen=True, slots=True)
class Searcher:
    """One version of the data set. All methods are safe in threads, and take some milliseconds at most."""

    version: int
    """Number of the import."""
    arrays: Arrays
    company_names: Sequence[str]
    tag_names: Sequence[str]
    stamp: str = ""
    """Tells its content from that of any other version, be it of another database with a number of its own."""
    company_starts: Ints = field(init=False)
    """C + 1 places of items: where those of each company begin."""
    _tagged: Int32 = field(init=False)
    """Places of items that have tags, ascending, as often as they have one."""
    _tagged_with: Int32 = field(init=False)
    """The tag of each of them."""
    _tags: Mapping[str, list[int]] = field(init=False)
    _companies: Sequence[str] = field(init=False)
    _speakers: Sequence[str] = field(init=False)

    def __post_init__(self) -> None:
        tags: dict[str, list[int]] = {}
        for code, name in enumerate(self.tag_names):
            tags.setdefault(fold(name), []).append(code)
        order = np.argsort(self.arrays.tagged, kind="stable")
        codes = np.arange(len(self.tag_names), dtype=np.int32)
        object.__setattr__(self, "_tagged", self.arrays.tagged[order])
        object.__setattr__(self, "_tagged_with", np.repeat(codes, np.diff(self.arrays.tag_starts))[order])
        starts = np.searchsorted(self.arrays.companies, np.arange(len(self.company_names) + 1))
        object.__setattr__(self, "company_starts", starts)
        object.__setattr__(self, "_tags", tags)
        object.__setattr__(self, "_companies", [fold(name) for name in self.company_names])
        object.__setattr__(self, "_speakers", [fold(name) for name in self.arrays.speaker_names])

    def find(self, wanted: Filter, numbers: Sequence[int] | None = None) -> Ints:
        """Places of the items that a filter lets through, ascending; ``numbers`` are those that have its words."""
        found = self._candidates(wanted)
        arrays = self.arrays
        if not wanted.monologues:
            found = found[arrays.kinds[found] == CONVERSATION]
        if wanted.all_tags:
            found = found[self._in_all(wanted.tags)[arrays.transcripts[found]]]
        if (
            wanted.transcript is not None
            or wanted.type is not None
            or wanted.since is not None
            or wanted.until is not None
        ):
            # Candidates are of the company; their transcript may be another's.
            chosen = self.transcripts(wanted._replace(company=""))
            found = found[np.append(chosen, False)[arrays.transcripts[found]]]
        if wanted.speaker:
            spoken = np.array([wanted.speaker in name for name in self._speakers] + [False], dtype=np.bool_)
            found = found[spoken[arrays.speakers[found]]]
        if numbers is not None:
            found = found[np.isin(arrays.numbers[found], np.array(numbers, dtype=np.uint32))]
        return found

    def transcripts(self, wanted: Filter) -> Bools:
        """Which transcripts a filter lets through, as far as it speaks of transcripts and companies."""
        arrays = self.arrays
        found = np.ones(len(arrays.transcript_ids), dtype=np.bool_)
        if wanted.company:
            owners = np.zeros(len(self.company_names) + 1, dtype=np.bool_)
            owners[self.companies(wanted.company)] = True
            found &= owners[arrays.transcript_companies]
        if wanted.transcript is not None:
            found &= arrays.transcript_ids == wanted.transcript
        if wanted.type is not None:
            found &= arrays.transcript_types == KINDS.index(wanted.type)
        if wanted.since is not None:
            found &= (arrays.published >= wanted.since) & (arrays.published != UNPUBLISHED)
        if wanted.until is not None:
            found &= arrays.published <= min(wanted.until, UNPUBLISHED - 1)
        return found

    def companies(self, asked: str) -> list[int]:
        """Codes of the companies whose name has a part; of that one alone whose id it is."""
        for code, number in enumerate(self.arrays.company_ids.tolist()):
            if asked == str(number):
                return [code]
        return [code for code, name in enumerate(self._companies) if asked in name]

    def count_tags(self, found: Ints) -> Ints:
        """How many of some items have each tag."""
        chosen = np.zeros(self.arrays.size, dtype=np.bool_)
        chosen[found] = True
        sums = np.append(0, np.cumsum(chosen[self.arrays.tagged]))
        return np.diff(sums[self.arrays.tag_starts])

    def count_companies(self, found: Ints) -> Ints:
        """How many of some items belong to each company."""
        return np.bincount(self.arrays.companies[found], minlength=len(self.company_names) + 1)[:-1]

    def count_transcripts(self, found: Ints) -> Ints:
        """How many of some items belong to each transcript."""
        return np.bincount(self.arrays.transcripts[found], minlength=len(self.arrays.transcript_ids) + 1)[:-1]

    def tags_of(self, places: Sequence[int]) -> list[list[int]]:
        """Codes of the tags of items."""
        wanted = np.array(places, dtype=self._tagged.dtype)
        begins, ends = (np.searchsorted(self._tagged, wanted, side=side).tolist() for side in ("left", "right"))
        return [self._tagged_with[begin:end].tolist() for begin, end in zip(begins, ends, strict=True)]

    def place_of(self, key: int, kind: int) -> int | None:
        """Place of the item with an id; None where there is none."""
        found = np.flatnonzero((self.arrays.keys == key) & (self.arrays.kinds == kind))
        return int(found[0]) if len(found) else None

    def thread(self, transcript: int) -> Ints:
        """Places of the items of a transcript, ascending: by company, then in order."""
        return np.flatnonzero(self.arrays.transcripts == transcript)

    def _candidates(self, wanted: Filter) -> Ints:
        """By company and tags, which arrays are sorted for."""
        ranges = [(0, self.arrays.size)]
        if wanted.company:
            codes = self.companies(wanted.company)
            ranges = [(int(self.company_starts[code]), int(self.company_starts[code + 1])) for code in codes]
        if not ranges or not wanted.tags:
            pieces = [np.arange(begin, end) for begin, end in ranges]
            return np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.int64)
        first = ranges[0][0]
        chosen = np.zeros(ranges[-1][1] - first, dtype=np.bool_)
        for tag in (code for name in wanted.tags for code in self._tags.get(name, ())):
            tagged = self.arrays.tagged_with(tag)
            for bounds in ranges:
                low, high = np.searchsorted(tagged, np.array(bounds, dtype=tagged.dtype))
                chosen[tagged[low:high] - first] = True
        return np.flatnonzero(chosen) + first

    def _in_all(self, tags: Sequence[str]) -> Bools:
        """Which transcripts have each of some tags; the last element stands for no transcript."""
        arrays = self.arrays
        found = np.ones(len(arrays.transcript_ids) + 1, dtype=np.bool_)
        for name in tags:
            having = np.zeros(len(found), dtype=np.bool_)
            for code in self._tags.get(name, ()):
                having[arrays.transcripts[arrays.tagged_with(code)]] = True
            found &= having
        found[-1] = False
        return found


def nothing() -> Searcher:
    """What there is before the first import."""
    return Searcher(NO_VERSION, empty(), (), ())
