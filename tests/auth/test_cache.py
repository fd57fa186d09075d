from dataclasses import replace

from signalbox.auth.cache import REFUSED_FOR, CredentialCache, Known, Snapshot, known_token, known_user, refusal_of
from signalbox.auth.models import AppToken, HashedPassword, User
from signalbox.auth.tokens import digest_of
from signalbox.core.times import MINUTE

TOKEN = AppToken(
    id=1,
    app="shop",
    any_app=False,
    prefix="sbx_abcdefgh",
    hash=b"t",
    scopes=["gateway"],
    created_at=0,
    created_by="test",
    expires_at=None,
    revoked_at=None,
    last_used_at=None,
)
USER = User(
    id=1,
    name="Anna",
    name_key="anna",
    password_hash=HashedPassword("x"),
    role="user",
    version=1,
    created_at=0,
    password_changed_at=0,
    disabled_at=None,
    last_login_at=None,
)


def filled(*, revision: int = 1) -> CredentialCache:
    cache = CredentialCache()
    cache.revision = revision
    cache.remember(b"t", known_token(TOKEN, revision=revision))
    cache.remember(b"j", known_user(USER, scopes=["user"], expires_at=MINUTE, revision=revision))
    return cache


def snapshot(revision: int, *, token: AppToken | None = TOKEN, user: User | None = USER) -> Snapshot:
    tokens = {} if token is None else {token.hash: token}
    return Snapshot(revision, tokens, {} if user is None else {user.name_key: user})


def known(cache: CredentialCache, at: int = 0) -> set[bytes]:
    return {digest for digest in (b"t", b"j") if cache.find(digest, at=at)}


def test_it_says_what_it_remembers() -> None:
    cache = filled()
    assert known(cache) == {b"t", b"j"}
    assert cache.token_digests() == [b"t"]
    assert cache.user_keys() == {"anna"}
    assert cache.find(b"?", at=0) is None


def test_an_entry_ends_with_its_credential() -> None:
    assert known(filled(), at=MINUTE - 1) == {b"t", b"j"}
    assert known(filled(), at=MINUTE) == {b"t"}


def test_a_refresh_keeps_what_is_as_it_was() -> None:
    cache = filled()
    cache.refresh(snapshot(2), at=0)
    assert known(cache) == {b"t", b"j"}
    assert cache.revision == 2


def test_a_refresh_drops_what_has_become_void() -> None:
    for token in (None, replace(TOKEN, revoked_at=1), replace(TOKEN, expires_at=5)):
        cache = filled()
        cache.refresh(snapshot(2, token=token), at=5)
        assert known(cache) == {b"j"}
    for user in (None, replace(USER, disabled_at=1), replace(USER, version=2), replace(USER, role="manager")):
        cache = filled()
        cache.refresh(snapshot(2, user=user), at=5)
        assert known(cache) == {b"t"}


def test_what_was_read_before_a_change_is_not_remembered_after_it() -> None:
    """The row was read, then the token was revoked and the cache refreshed, and only then the reader goes on."""
    cache = CredentialCache()
    cache.revision = 2
    cache.remember(b"t", known_token(TOKEN, revision=1))
    assert known(cache) == set()


def test_what_was_read_after_a_change_survives_the_refresh_for_it() -> None:
    """It was remembered while the snapshot was under way, so the snapshot does not hold it."""
    cache = CredentialCache()
    cache.revision = 1
    cache.remember(b"t", known_token(TOKEN, revision=2))
    cache.refresh(snapshot(2, token=None), at=0)
    assert known(cache) == {b"t"}
    cache.remember(b"j", known_user(USER, scopes=["user"], expires_at=MINUTE, revision=2))
    cache.refresh(snapshot(3, token=None), at=0)
    assert known(cache) == {b"j"}


def test_what_is_recalled_ends_with_its_credential_and_with_each_change() -> None:
    text = b"sbx_" + b"x" * 40
    token = replace(TOKEN, hash=digest_of(text), expires_at=10)
    cache = CredentialCache()
    assert cache.recall(text, None, at=0) is None
    cache.remember(token.hash, known_token(token, revision=1))
    for _ in range(2):
        recalled = cache.recall(text, None, at=9)
        assert recalled is not None
        assert recalled.app == "shop"
    assert cache.recall(text, None, at=10) is None
    cache.refresh(snapshot(2, token=replace(token, scopes=["tasks:read"])), at=1)
    renewed = cache.recall(text, None, at=1)
    assert renewed is not None
    assert renewed.scopes == {"tasks:read"}
    cache.refresh(snapshot(3, token=None), at=1)
    assert cache.recall(text, None, at=1) is None


def test_recalling_notes_a_use_once_a_minute() -> None:
    text = b"sbx_" + b"x" * 40
    cache = CredentialCache()
    cache.remember(digest_of(text), known_token(TOKEN, revision=1))
    for at in (MINUTE, MINUTE + 1, 2 * MINUTE - 1):
        cache.recall(text, None, at=at)
    assert cache.take_used() == {1: MINUTE}
    cache.recall(text, None, at=2 * MINUTE)
    assert cache.take_used() == {1: 2 * MINUTE}


def test_it_is_bounded() -> None:
    cache = CredentialCache(max_entries=3)
    for number in range(10):
        cache.remember(bytes([number]), known_token(TOKEN, revision=1))
        cache.refuse(bytes([number]), "no", at=0)
    assert len(cache._known) == 3
    assert len(cache._refused) <= 3
    shared = b"sbx_" + b"x" * 40
    cache.remember(digest_of(shared), known_token(replace(TOKEN, app=None, any_app=True), revision=1))
    for number in range(10):
        assert cache.recall(shared, b"app-%d" % number, at=0) is not None
    assert len(cache._recalled) <= 3
    assert cache.find(b"\x09", at=0)
    assert cache.find(b"\x00", at=0) is None


def test_a_refusal_lasts_half_a_second_or_until_something_changes() -> None:
    cache = filled()
    cache.refuse(b"x", "the token is unknown", at=100)
    assert cache.refusal(b"x", at=100 + REFUSED_FOR - 1) == "the token is unknown"
    assert cache.refusal(b"x", at=100 + REFUSED_FOR) is None
    cache.refresh(snapshot(2), at=100)
    assert cache.refusal(b"x", at=101) is None
    cache.refuse(b"t", "the token is unknown", at=100)
    cache.remember(b"t", known_token(TOKEN, revision=2))
    assert cache.refusal(b"t", at=100) is None
    assert REFUSED_FOR <= 500_000


def test_uses_of_a_token_are_noted_once_a_minute() -> None:
    cache, start = filled(), 10 * MINUTE
    for at in (start, start + 1, start + MINUTE - 1):
        cache.find(b"t", at=at)
    cache.find(b"j", at=0)
    assert cache.take_used() == {1: start}
    cache.find(b"t", at=start + MINUTE - 1)
    assert cache.take_used() == {}
    cache.refresh(snapshot(2), at=start)
    cache.find(b"t", at=start + MINUTE - 1)
    assert cache.take_used() == {}, "a refresh does not forget when a use was noted"
    cache.find(b"t", at=start + MINUTE)
    assert cache.take_used() == {1: start + MINUTE}


def test_uses_that_could_not_be_written_are_kept_unless_newer_ones_came() -> None:
    cache = filled()
    cache.find(b"t", at=MINUTE)
    used = {**cache.take_used(), 2: 5}
    cache.find(b"t", at=3 * MINUTE)
    cache.give_back_used(used)
    assert cache.take_used() == {1: 3 * MINUTE, 2: 5}


def test_why_a_token_is_refused() -> None:
    assert refusal_of(TOKEN, at=5) is None
    assert refusal_of(replace(TOKEN, expires_at=6), at=5) is None
    assert refusal_of(replace(TOKEN, expires_at=5), at=5) == "the token has expired"
    assert refusal_of(replace(TOKEN, revoked_at=1), at=5) == "the token was revoked"


def test_a_token_for_any_app_takes_the_name_it_is_given() -> None:
    entry: Known = known_token(replace(TOKEN, any_app=True), revision=1)
    assert entry.principal_for(b"bot").app == entry.principal_for(b"bot").name == "bot"
    assert known_token(TOKEN, revision=1).principal_for(b"bot").app == "shop"
