"""Makes data sets of interview transcripts in Spark's file layout, of any size, with text of its own.

    python -m signalbox.sandbox.interviews FOLDER --rows 1000000

As in real ones, nothing but the order of rows says what belongs together. Rows are made and written a piece at a time.
"""

import argparse
import random
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

COMPANIES: Final = (
    "Amber Ferries", "Birch & Sons", "Copperline", "Dovetail Foods", "Eastgate Rail", "Fennel Labs", "Greywater",
    "Harbour Mills", "Ironwood", "Juniper Post", "Kestrel Air", "Lanternworks", "Millrace", "Northlight",
)  # fmt: skip
TAGS: Final = (
    "competition", "orientation", "pricing", "hiring", "safety", "suppliers", "growth", "weather", "training", "energy",
)  # fmt: skip
SPEAKERS: Final = ("Ada Brook", "Ben Marsh", "Cora Dale", "Dan Field", "Eve Wood")
WORDS: Final = (
    "we", "our", "customers", "market", "line", "season", "plan", "team", "night", "shift", "cost", "order", "bridge",
    "signal", "winter", "harvest", "machine", "tender", "rival", "contract", "quiet", "early", "late", "often", "never",
)  # fmt: skip
SYLLABLES: Final = (
    "ba",
    "chor",
    "den",
    "fel",
    "gri",
    "hol",
    "ist",
    "kam",
    "lu",
    "mer",
    "nor",
    "pes",
    "ra",
    "sul",
    "ti",
    "vo",
)
PER_TRANSCRIPT: Final = 20
"""Rows in one transcript, about."""
PIECE: Final = 50_000
"""Rows that are made at a time."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much to make."""

    rows: int
    """Conversations; there are a quarter as many monologues, one at least for each company that has conversations."""
    companies: int = 20
    parts: int = 3
    """Files for each folder; one more of each is empty."""
    seed: int = 0


@dataclass(slots=True)
class Made:
    """Rows by folder, in their order."""

    company: list[dict[str, Any]]
    tag: list[dict[str, Any]]
    transcript: list[dict[str, Any]]
    conversation: list[dict[str, Any]]
    monologue: list[dict[str, Any]]


# -- made-up data -----------------------------------------------------------------------------------------------------


def make_dataset(folder: Path, size: Size) -> None:
    """Write a made-up data set; the same size and seed make the same one."""
    dice = np.random.default_rng(size.seed)
    names = [_company(number) for number in range(size.companies)]
    owners, kinds, lengths = _plan(size, dice)
    columns: dict[str, dict[str, Any]] = {
        "company": {
            "id_company": np.arange(1, size.companies + 1),
            "company_name": names,
            "logo": [f"logos/{number}.png" for number in range(1, size.companies + 1)],
        },
        "tag": {"id_tag": np.arange(1, len(TAGS) + 1), "tag_value": list(TAGS)},
        "transcript": _transcripts(names, owners, kinds, lengths, dice),
    }
    for name, values in columns.items():
        with _writers(folder / name, name, parts=size.parts, seed=size.seed) as writers:
            _write_shares(writers, schemas()[name], values)
    talk = Talk(dice)
    for kind, name in enumerate(("conversation", "monologue")):
        with _writers(folder / name, name, parts=size.parts, seed=size.seed) as writers:
            _write_items(writers, name, _sequences(lengths[kinds == kind]), talk)


def _company(number: int) -> str:
    return COMPANIES[number % len(COMPANIES)] + ("" if number < len(COMPANIES) else f" {number + 1}")


def _plan(size: Size, dice: np.random.Generator) -> tuple[Ints, Ints, Ints]:
    """Of each transcript its company, its kind and how many rows it has: conversations first, then monologues."""
    none = np.zeros(0, dtype=np.int64)
    owners, kinds, lengths = [none], [none], [none]
    for number in range(size.companies):
        share = size.rows * (number + 1) // size.companies - size.rows * number // size.companies
        if not share:
            continue  # monologues alone would be taken for more of the company before
        for kind, count in ((0, share), (1, max(1, share // 4))):
            some = _split(count, dice)
            lengths.append(some)
            owners.append(np.full(len(some), number))
            kinds.append(np.full(len(some), kind))
    return np.concatenate(owners), np.concatenate(kinds), np.concatenate(lengths)


def _split(rows: int, dice: np.random.Generator) -> Ints:
    """Lengths of transcripts that add up to so many rows."""
    some = dice.integers(PER_TRANSCRIPT // 2, PER_TRANSCRIPT * 3 // 2 + 1, rows // (PER_TRANSCRIPT // 2) + 1)
    ends = np.minimum(np.cumsum(some), rows)
    lengths = np.diff(ends, prepend=0)
    return lengths[lengths > 0]


def _transcripts(
    names: Sequence[str], owners: Ints, kinds: Ints, lengths: Ints, dice: np.random.Generator
) -> dict[str, Any]:
    numbers = np.arange(1, len(owners) + 1)
    days = zip(
        *(dice.integers(low, high, len(owners)).tolist() for low, high in ((15, 26), (1, 13), (1, 29))), strict=True
    )
    return {
        "id_transcript": numbers,
        "title": [
            f"{names[owner]}: a talk" if kind else f"Interview {number}"
            for owner, kind, number in zip(owners.tolist(), kinds.tolist(), numbers.tolist(), strict=True)
        ],
        "transcript_type": [("conversation", "monologue")[kind] for kind in kinds.tolist()],
        "length": lengths,
        "publish_date": [f"20{year}-{month:02}-{day:02}" for year, month, day in days],
    }


def _sequences(lengths: Ints) -> npt.NDArray[np.float64]:
    """1 to n for each transcript, one behind the other."""
    starts = np.cumsum(lengths) - lengths
    return (np.arange(lengths.sum()) - np.repeat(starts, lengths) + 1).astype(np.float64)


class Talk:
    """Sentences of made-up words, of which few are frequent and most are rare, as in real ones."""

    def __init__(self, dice: np.random.Generator) -> None:
        import pyarrow as pa  # noqa: PLC0415 - an extra, and slow to import

        made = [a + b + c for a in SYLLABLES for b in SYLLABLES for c in ("", *SYLLABLES)]
        words = [*WORDS, *sorted(set(made) - set(WORDS), key=lambda word: random.Random(word).random())]
        weights = 1 / np.arange(3, len(words) + 3)
        self.dice = dice
        self._words, self._shares = pa.array(words), np.cumsum(weights) / weights.sum()

    def sentences(self, count: int, *, words: int, end: str) -> Any:
        """So many texts, of about so many words each."""
        import pyarrow as pa  # noqa: PLC0415 - as above
        import pyarrow.compute as pc  # noqa: PLC0415

        lengths = self.dice.integers(words // 2, words * 3 // 2 + 1, count)
        chosen = np.searchsorted(self._shares, self.dice.random(int(lengths.sum())))
        starts = np.append(0, np.cumsum(lengths)).astype(np.int32)
        joined = pc.binary_join(pa.ListArray.from_arrays(starts, self._words.take(pa.array(chosen))), " ")
        return pc.binary_join_element_wise(pc.utf8_capitalize(joined), end, "")


def _write_items(writers: Sequence[Any], name: str, sequences: npt.NDArray[np.float64], talk: Talk) -> None:
    """Rows of conversations or monologues, spread over parts."""
    for part, writer in enumerate(writers[:-1]):
        begin, end = (len(sequences) * at // (len(writers) - 1) for at in (part, part + 1))
        for first in range(begin, end, PIECE):
            some = sequences[first : min(first + PIECE, end)]
            writer.write_table(_items(name, first, some, talk))


def _items(name: str, first: int, sequences: npt.NDArray[np.float64], talk: Talk) -> Any:
    import pyarrow as pa  # noqa: PLC0415 - as above

    count, dice = len(sequences), talk.dice
    tags = dice.integers(0, len(TAGS) + 1, count)
    values: dict[str, Any] = {
        f"id_{name}": np.arange(first + 1, first + 1 + count),
        f"sequence_{name}": sequences,
        "id_tag": pa.array(tags, pa.int32(), mask=tags == 0),
    }
    if name == "conversation":
        values["question"] = talk.sentences(count, words=8, end="?")
        values["answer"] = talk.sentences(count, words=20, end=".")
    else:
        values["speaker"] = pa.array(SPEAKERS).take(pa.array(dice.integers(0, len(SPEAKERS), count)))
        values["content"] = talk.sentences(count, words=25, end=".")
    return _table(schemas()[name], values)


# -- files ------------------------------------------------------------------------------------------------------------


def write_dataset(folder: Path, made: Made, *, parts: int = 3, seed: int = 0) -> None:
    """Write rows as Spark does: parts with long names, one of them empty, ``_SUCCESS`` and hidden checksums."""
    for name, kinds in schemas().items():
        write_folder(folder / name, getattr(made, name), kinds, parts=parts, seed=seed)


def write_folder(
    folder: Path, rows: Sequence[dict[str, Any]], kinds: dict[str, Any], *, parts: int = 3, seed: int = 0
) -> None:
    """Write one folder; ``kinds`` are the types of its columns."""
    values = {name: [row.get(name) for row in rows] for name in kinds}
    with _writers(folder, folder.name, kinds=kinds, parts=parts, seed=seed) as writers:
        _write_shares(writers, kinds, values)


@contextmanager
def _writers(
    folder: Path, name: str, *, parts: int, seed: int, kinds: dict[str, Any] | None = None
) -> Iterator[list[Any]]:
    """Writers of the parts of a folder; the last stays empty."""
    import pyarrow as pa  # noqa: PLC0415 - as above
    import pyarrow.parquet as pq  # noqa: PLC0415

    folder.mkdir(parents=True, exist_ok=True)
    job = uuid.UUID(int=random.Random(f"{name}{seed}").getrandbits(128), version=4)
    schema = pa.schema(kinds or schemas()[name])
    made = [f"part-{number:05}-{job}-c000.snappy.parquet" for number in range(parts + 1)]
    writers = [pq.ParquetWriter(folder / each, schema, compression="snappy") for each in made]
    try:
        yield writers
    finally:
        for writer in writers:
            writer.close()
    for each in made:
        (folder / f".{each}.crc").write_bytes(b"crc\0")
    (folder / "_SUCCESS").touch()
    (folder / "._SUCCESS.crc").write_bytes(b"crc\0")


def _write_shares(writers: Sequence[Any], kinds: dict[str, Any], values: dict[str, Any]) -> None:
    """Rows that are there as a whole, spread over all parts but the last."""
    table, parts = _table(kinds, values), len(writers) - 1
    for part, writer in enumerate(writers[:-1]):
        begin, end = (len(table) * at // parts for at in (part, part + 1))
        writer.write_table(table.slice(begin, end - begin))


def _table(kinds: dict[str, Any], values: dict[str, Any]) -> Any:
    import pyarrow as pa  # noqa: PLC0415 - as above

    arrays = [
        values[name] if isinstance(values[name], (pa.Array, pa.ChunkedArray)) else pa.array(values[name], kind)
        for name, kind in kinds.items()
    ]
    return pa.table(arrays, schema=pa.schema(kinds))


def schemas() -> dict[str, dict[str, Any]]:
    """The types of all columns, as Spark writes them."""
    import pyarrow as pa  # noqa: PLC0415 - as above

    number, text = pa.int64(), pa.string()
    return {
        "company": {"id_company": number, "company_name": text, "logo": text},
        "tag": {"id_tag": number, "tag_value": text},
        "transcript": {
            "id_transcript": number,
            "title": text,
            "transcript_type": text,
            "length": number,
            "publish_date": text,
        },
        "conversation": {
            "id_conversation": number,
            "question": text,
            "answer": text,
            "sequence_conversation": pa.float64(),
            "id_tag": pa.int32(),
        },
        "monologue": {
            "id_monologue": number,
            "speaker": text,
            "content": text,
            "sequence_monologue": pa.float64(),
            "id_tag": pa.int32(),
        },
    }


def main() -> None:
    """Write a data set."""
    parser = argparse.ArgumentParser(description="Write a data set of made-up interviews.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=10_000, help="conversations; a quarter as many monologues besides")
    parser.add_argument("--companies", type=int, default=20)
    parser.add_argument("--parts", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    make_dataset(given.folder, Size(given.rows, given.companies, given.parts, given.seed))


if __name__ == "__main__":
    main()
