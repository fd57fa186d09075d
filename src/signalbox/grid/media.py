"""Which form of an answer a client would like."""

from collections.abc import Mapping, Sequence


def choose(accept: str | None, offers: Sequence[str]) -> str:
    """Of the media types on offer, the one that ``Accept`` likes most; the first where it likes none of them.

    Quality values count, and wildcards; of equals the first on offer is taken (RFC 9110, section 12.5.1).
    """
    if not accept:
        return offers[0]
    liked = _parse(accept)
    qualities = [_quality(offer, liked) for offer in offers]
    return offers[qualities.index(max(qualities))]


def _quality(offer: str, liked: Mapping[str, float]) -> float:
    for pattern in (offer, offer.partition("/")[0] + "/*", "*/*"):
        if pattern in liked:
            return liked[pattern]
    return 0.0


def _parse(accept: str) -> dict[str, float]:
    liked: dict[str, float] = {}
    for each in accept.split(","):
        name, *parameters = (part.strip().lower() for part in each.split(";"))
        quality = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        try:
            liked[name] = float(quality)
        except ValueError:
            liked[name] = 0.0
    return liked
