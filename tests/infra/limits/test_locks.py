import threading
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from signalbox.infra.db.postgresql import postgresql_engine
from signalbox.infra.limits.locks import LimitsBusyError, lock
from tests.support.databases import Place, PostgresqlServer


@pytest.fixture
def engine(postgresql_server: PostgresqlServer) -> Iterator[sa.Engine]:
    with postgresql_server.database() as place:
        made = postgresql_engine(place.url, pool_size=3)
        yield made
        made.dispose()


def test_a_name_is_held_until_the_transaction_ends(engine: sa.Engine) -> None:
    had = threading.Event()

    def second() -> None:
        with engine.begin() as tx:
            lock(tx, [b"b", b"a"])
            had.set()

    thread = threading.Thread(target=second)
    with engine.begin() as tx:
        lock(tx, [b"a", b"b"])
        thread.start()
        assert not had.wait(0.2)
    assert had.wait(10)
    thread.join()


def test_who_holds_one_does_not_wait_for_another(engine: sa.Engine) -> None:
    with engine.begin() as first, engine.begin() as second:
        lock(first, [b"a"])
        lock(second, [b"b"])
        lock(second, [b"c"])
        with pytest.raises(LimitsBusyError):
            lock(second, [b"a"])


def test_what_is_held_may_be_locked_again_and_a_new_transaction_holds_nothing(engine: sa.Engine) -> None:
    with engine.connect() as tx:
        with tx.begin():
            lock(tx, [b"a", b"b"])
            lock(tx, [b"a"])
        with tx.begin(), engine.begin() as other:
            lock(other, [b"b"])
            lock(tx, [b"a"])
            with pytest.raises(LimitsBusyError):
                lock(tx, [b"b"])


def test_many_transactions_with_the_same_names_in_any_order_all_end(engine: sa.Engine) -> None:
    def work(names: list[bytes]) -> None:
        for _ in range(30):
            with engine.begin() as tx:
                lock(tx, names)

    threads = [threading.Thread(target=work, args=[names]) for names in ([b"a", b"b", b"c"], [b"c", b"b", b"a"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


def test_nothing_is_locked_where_no_names_are_given(place: Place) -> None:
    engine = place.engine()
    with engine.begin() as tx:
        lock(tx, [])
    engine.dispose()
