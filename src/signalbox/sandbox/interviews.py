"""Makes data sets of interview transcripts in Spark's file layout, of any size, with text of its own.

    python -m signalbox.sandbox.interviews FOLDER --rows 1000000

As in real ones, nothing but the order of rows says what belongs together.
"""

import argparse
import random
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

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
PER_TRANSCRIPT: Final = 20
"""Rows in one transcript, about."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much to make."""

    rows: int
    """Conversations; there are a quarter as many monologues."""
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


def make_rows(size: Size) -> Made:
    """The rows of a data set."""
    dice = random.Random(size.seed)
    made = Made([], [], [], [], [])
    made.tag = [{"id_tag": number, "tag_value": tag} for number, tag in enumerate(TAGS, 1)]
    for number in range(1, size.companies + 1):
        name = COMPANIES[(number - 1) % len(COMPANIES)]
        name += "" if number <= len(COMPANIES) else f" {number}"
        made.company.append({"id_company": number, "company_name": name, "logo": f"logos/{number}.png"})
        share = size.rows * number // size.companies - size.rows * (number - 1) // size.companies
        for kind, count in (("conversation", share), ("monologue", max(1, share // 4))):
            _add_transcripts(made, name, kind, count, dice)
    return made


def _add_transcripts(made: Made, company: str, kind: str, rows: int, dice: random.Random) -> None:
    while rows > 0:
        length = min(rows, dice.randint(PER_TRANSCRIPT // 2, PER_TRANSCRIPT * 3 // 2))
        rows -= length
        number = len(made.transcript) + 1
        title = f"{company}: a talk" if kind == "monologue" else f"Interview {number}"
        day = f"20{dice.randint(15, 25)}-{dice.randint(1, 12):02}-{dice.randint(1, 28):02}"
        entry = {
            "id_transcript": number,
            "title": title,
            "transcript_type": kind,
            "length": length,
            "publish_date": day,
        }
        made.transcript.append(entry)
        target = made.conversation if kind == "conversation" else made.monologue
        for sequence in range(1, length + 1):
            row: dict[str, Any] = {f"id_{kind}": len(target) + 1, f"sequence_{kind}": float(sequence)}
            row["id_tag"] = dice.choice((None, *range(1, len(TAGS) + 1)))
            if kind == "conversation":
                target.append({**row, "question": _sentence(dice, 8, "?"), "answer": _sentence(dice, 20, ".")})
            else:
                target.append({**row, "speaker": dice.choice(SPEAKERS), "content": _sentence(dice, 25, ".")})


def _sentence(dice: random.Random, words: int, end: str) -> str:
    return " ".join(dice.choices(WORDS, k=words)).capitalize() + end


# -- files ------------------------------------------------------------------------------------------------------------


def write_dataset(folder: Path, made: Made, *, parts: int = 3, seed: int = 0) -> None:
    """Write rows as Spark does: parts with long names, one of them empty, ``_SUCCESS`` and hidden checksums."""
    for name, kinds in schemas().items():
        write_folder(folder / name, getattr(made, name), kinds, parts=parts, seed=seed)


def write_folder(
    folder: Path, rows: Sequence[dict[str, Any]], kinds: dict[str, Any], *, parts: int = 3, seed: int = 0
) -> None:
    """Write one folder; ``kinds`` are the types of its columns."""
    folder.mkdir(parents=True, exist_ok=True)
    job = uuid.UUID(int=random.Random(f"{folder.name}{seed}").getrandbits(128), version=4)
    for number, some in enumerate([*_shares(rows, parts), []]):
        name = f"part-{number:05}-{job}-c000.snappy.parquet"
        write_part(folder / name, some, kinds)
        (folder / f".{name}.crc").write_bytes(b"crc\0")
    (folder / "_SUCCESS").touch()
    (folder / "._SUCCESS.crc").write_bytes(b"crc\0")


def write_part(path: Path, rows: Sequence[dict[str, Any]], kinds: dict[str, Any]) -> None:
    """Write one file."""
    import pyarrow as pa  # noqa: PLC0415 - an extra, and slow to import
    import pyarrow.parquet as pq  # noqa: PLC0415

    columns = {name: pa.array([row.get(name) for row in rows], kind) for name, kind in kinds.items()}
    pq.write_table(pa.table(columns), path, compression="snappy")


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


def _shares(rows: Sequence[dict[str, Any]], parts: int) -> Iterator[Sequence[dict[str, Any]]]:
    for part in range(parts):
        yield rows[len(rows) * part // parts : len(rows) * (part + 1) // parts]


def main() -> None:
    """Write a data set."""
    parser = argparse.ArgumentParser(description="Write a data set of made-up interviews.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=10_000, help="conversations; a quarter as many monologues besides")
    parser.add_argument("--companies", type=int, default=20)
    parser.add_argument("--parts", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    size = Size(given.rows, given.companies, given.parts, given.seed)
    write_dataset(given.folder, make_rows(size), parts=size.parts, seed=size.seed)


if __name__ == "__main__":
    main()
