"""What the routes of sign-on answer."""

from typing import Literal

from pydantic import BaseModel, Field

from signalbox.auth.principal import Kind
from signalbox.auth.scopes import Role


class TokenAnswer(BaseModel):
    """A fresh sign-in (RFC 6749, section 5.1)."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - the type, not a token
    expires_in: int = Field(description="Seconds until the token expires")
    scope: str = Field(description="The scopes granted, separated by spaces", examples=["user"])


class Me(BaseModel):
    """Who is asking."""

    name: str
    kind: Kind
    app: str | None = Field(description="The app, where an app token was used")
    role: Role | None = Field(description="The role of a person; None for an app without one")
    scopes: list[str]
