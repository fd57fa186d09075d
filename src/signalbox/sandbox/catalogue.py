"""What the simulated shop sells: every answer follows from the id and a seed, so nothing is stored.

Ids are ``MLA`` and a number without leading zeros (users: the number alone). The category tree is in the digits:
``MLA979`` is a child of ``MLA97``. Prices are in the currency's unit with two decimals.
"""

import random
import re
from typing import Final

Record = dict[str, object]

DEEPEST = 6
"""Digits of a leaf category."""

_ID: Final = re.compile(r"MLA([1-9][0-9]{0,11})")
_USER: Final = re.compile(r"[1-9][0-9]{0,11}")
_TOPICS: Final = ("Audio", "Books", "Cameras", "Garden", "Games", "Kitchen", "Lighting", "Music", "Office", "Tools")
_KINDS: Final = ("accessories", "bundles", "classics", "kits", "large", "outlet", "parts", "small", "spares", "sets")
_ADJECTIVES: Final = ("Compact", "Classic", "Foldable", "Wireless", "Heavy-duty", "Recycled", "Portable", "Premium")
_NOUNS: Final = ("lamp", "speaker", "drill", "notebook", "kettle", "tripod", "keyboard", "backpack", "planter")


class Catalogue:
    """The shop's data for one seed; each method returns None for an id that the shop does not have."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed

    def category(self, identity: str) -> Record | None:
        """Return a category with its path from the root and its children."""
        if (found := _ID.fullmatch(identity)) is None:
            return None
        digits, dice = found[1], self._dice("category", identity)
        return {
            "id": identity,
            "name": _category_name(digits),
            "picture": None,
            "permalink": f"https://shop.example/c/{identity}",
            "total_items_in_this_category": dice.randint(10, 200_000),
            "path_from_root": [_category_link(digits[:end]) for end in range(1, len(digits) + 1)],
            "children_categories": self._children(digits, dice),
        }

    def item(self, identity: str) -> Record | None:
        """Return an item for sale, with its price, seller and category."""
        if _ID.fullmatch(identity) is None:
            return None
        dice = self._dice("item", identity)
        return {
            "id": identity,
            "title": f"{dice.choice(_ADJECTIVES)} {dice.choice(_NOUNS)} {dice.randint(100, 999)}",
            "category_id": f"MLA{dice.randint(1, 10**DEEPEST - 1)}",
            "seller_id": dice.randint(1, 50_000),
            "price": round(dice.lognormvariate(3.5, 1.0), 2),
            "currency_id": "EUR",
            "available_quantity": dice.randint(0, 500),
            "condition": dice.choice(("new", "used")),
            "permalink": f"https://shop.example/i/{identity}",
        }

    def user(self, identity: str) -> Record | None:
        """Return a seller or buyer."""
        if _USER.fullmatch(identity) is None:
            return None
        dice = self._dice("user", identity)
        return {
            "id": int(identity),
            "nickname": f"{dice.choice(_NOUNS).upper()}{dice.randint(10, 9999)}",
            "registration_date": f"{dice.randint(2005, 2025)}-{dice.randint(1, 12):02}-{dice.randint(1, 28):02}",
            "country_id": dice.choice(("AR", "DE", "ES", "FR", "IT")),
            "seller_reputation": {"level": dice.randint(1, 5), "transactions": dice.randint(0, 90_000)},
        }

    def search(self, query: str, *, limit: int = 10) -> Record:
        """Find the first ``limit`` items that match any text; the same text always finds the same."""
        dice = self._dice("search", query)
        results = [self.item(f"MLA{dice.randint(1, 10**9)}") for _ in range(limit)]
        paging = {"total": dice.randint(limit, 5_000), "offset": 0, "limit": limit}
        return {"query": query, "paging": paging, "results": results}

    def _children(self, digits: str, dice: random.Random) -> list[Record]:
        if len(digits) >= DEEPEST:
            return []
        count = dice.randint(1, 10)
        return [{**_category_link(f"{digits}{last}"), "total_items": dice.randint(1, 20_000)} for last in range(count)]

    def _dice(self, *names: object) -> random.Random:
        return random.Random(f"{self._seed}:{names}")


def _category_link(digits: str) -> Record:
    return {"id": f"MLA{digits}", "name": _category_name(digits)}


def _category_name(digits: str) -> str:
    topic = _TOPICS[int(digits[0])]
    return topic if len(digits) == 1 else f"{topic} {_KINDS[int(digits[-1])]}"
