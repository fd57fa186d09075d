"""Finds out what belongs together where the data has no keys: the order of its rows carries them.

A run of rows begins where the sequence is 1, and the k-th run belongs to the k-th transcript of its type. Transcripts
come in blocks, one for each company: conversations, then monologues. A block belongs to the company whose name begins
the titles of its monologues. Where this does not add up, nothing is guessed.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from signalbox.conversations.vectors import Bools, Codes, Floats, Int32, Ints

NONE: Final = -1
"""Belongs to nothing."""

CONVERSATION: Final = 0
MONOLOGUE: Final = 1

_EDGES = re.compile(r"(?<=\w)(?!\w)|(?<!\w)(?!\w)")
"""Where a name may end in a title: behind a word, or between signs."""


def find_repeats(keys: Ints, known: Bools) -> tuple[Bools, Bools]:
    """Rows that repeat the id of the row before them, and rows whose id stands elsewhere already.

    The first say that the same item has one more tag; the others are mistakes.
    """
    repeats = np.zeros(len(keys), dtype=np.bool_)
    repeats[1:] = (keys[1:] == keys[:-1]) & known[1:] & known[:-1]
    begins = np.flatnonzero(known & ~repeats)
    if np.all(np.diff(keys[begins]) > 0):  # as a rule; sorting takes a second for 5M rows
        return repeats, np.zeros(len(keys), dtype=np.bool_)
    _, first = np.unique(keys[begins], return_index=True)
    again = np.zeros(len(keys), dtype=np.bool_)
    again[np.delete(begins, first)] = True
    return repeats, again[chain_starts(repeats)] if len(keys) else again


def chain_starts(repeats: Bools) -> Int32:
    """For each row the one whose id it repeats, itself where it repeats none."""
    positions = np.arange(len(repeats), dtype=np.int32)
    positions[repeats] = 0
    return np.maximum.accumulate(positions)


def number_runs(sequences: Floats, repeats: Bools) -> Int32:
    """For each row the number of its run, from 0 on; NONE before the first."""
    return np.cumsum((sequences == 1) & ~repeats, dtype=np.int32) - np.int32(1)


def link_runs(runs: Int32, slots: Codes) -> tuple[Int32, int]:
    """For each row the transcript of its run, and how many runs there are.

    ``slots`` are the transcripts of one type in the order of the files, NONE for one that was rejected. Unless there are
    as many runs as slots, it is not sure where they part, and no row is linked.
    """
    count = int(runs.max(initial=NONE)) + 1
    if count != len(slots):
        return np.full(len(runs), NONE, dtype=np.int32), count
    return np.append(slots, NONE).astype(np.int32)[runs], count  # NONE is the last from behind


def number_blocks(types: Codes) -> Codes:
    """For each transcript the number of its block; a new one starts at the first conversation after a monologue."""
    begins = np.zeros(len(types), dtype=np.bool_)
    begins[1:] = (types[1:] == CONVERSATION) & (types[:-1] == MONOLOGUE)
    return np.cumsum(begins)


def name_blocks(
    blocks: Codes, types: Codes, titles: Sequence[str | None], names: Sequence[str]
) -> tuple[Codes, dict[int, str]]:
    """For each block the company (its place in ``names``), NONE where that is not sure; and why, for those blocks."""
    by_name = _by_name(names)
    candidates: dict[int, set[str]] = {}
    for block, title in ((int(blocks[at]), titles[at]) for at in np.flatnonzero(types == MONOLOGUE).tolist()):
        found = _beginnings(title or "", by_name)
        candidates[block] = candidates[block] & found if block in candidates else found
    owners = np.full(int(blocks.max(initial=NONE)) + 1, NONE)
    reasons: dict[int, str] = {}
    for block in range(len(owners)):
        owner = _decide(candidates.get(block), by_name)
        if isinstance(owner, str):
            reasons[block] = owner
        else:
            owners[block] = owner
    return owners, reasons


def _by_name(names: Sequence[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        found.setdefault(name.strip().casefold(), []).append(place)
    found.pop("", None)
    return found


def _beginnings(title: str, by_name: Mapping[str, list[int]]) -> set[str]:
    """Names that begin a title and end at the end of a word: ``Apple`` does not begin ``Applebee's``."""
    folded = title.strip().casefold()
    return {folded[: edge.start()] for edge in _EDGES.finditer(folded) if folded[: edge.start()] in by_name}


def _decide(candidates: set[str] | None, by_name: Mapping[str, list[int]]) -> int | str:
    """The one company, or why it is not sure which."""
    if candidates is None:
        return "the block has no monologues to tell its company"
    if not candidates:
        return "the titles of the block do not begin with the name of one company"
    owners = by_name[max(candidates, key=len)]
    return owners[0] if len(owners) == 1 else "several companies have the name that the titles begin with"
