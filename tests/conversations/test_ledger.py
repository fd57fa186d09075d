import numpy as np

from signalbox.conversations.ledger import Ledger


def rows(*at: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.isin(np.arange(5), at)


def test_each_file_has_its_counts() -> None:
    ledger = Ledger([("a", 2), ("empty", 0), ("b", 3)])
    ledger.unlink(rows(1, 2), "lost")
    ledger.reject(rows(2, 4), "bad")
    ledger.reject(rows(2), "worse")
    ledger.unlink(rows(2, 4), "late")
    assert len(ledger) == 5
    assert ledger.rejected().tolist() == [False, False, True, False, True]
    assert [tuple(each.values()) for each in ledger.files()] == [
        ("a", 2, 1, 1, 0, {"lost": 1}),
        ("empty", 0, 0, 0, 0, {}),
        ("b", 3, 1, 0, 2, {"bad": 2}),
    ]
