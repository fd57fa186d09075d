from signalbox.auth.principal import Principal


def test_the_audit_names_kind_and_name() -> None:
    assert Principal("app", "shop", "shop", frozenset({"gateway"})).actor == "app:shop"


def test_the_role_is_the_stronger_one() -> None:
    assert Principal("user", "anna", None, frozenset({"user", "manager"})).role == "manager"
    assert Principal("user", "anna", None, frozenset({"user", "gateway"})).role == "user"
    assert Principal("user", "anna", None, frozenset({"tasks:read"})).role is None
