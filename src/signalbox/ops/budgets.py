"""The budgets of third-party hosts, as operators see them."""

from datetime import datetime

from pydantic import BaseModel, Field
from sqlalchemy import Connection

from signalbox.core.times import to_datetime
from signalbox.infra.limits.budgets import Budgets, BudgetStatus


class BudgetLimitOut(BaseModel):
    """A limit of a budget."""

    rate: str = Field(examples=["50/30s"])
    used: int = Field(description="Calls that count at present; polls, permits that are held and lost ones included")
    remaining: int
    polls: int = Field(description="Polls among them")
    poll_limit: int | None = Field(description="How many of the calls may be polls; null: as many as any")


class BudgetOut(BaseModel):
    """How a host stands with everything that calls it."""

    host: str = Field(examples=["api.example.com"])
    limits: list[BudgetLimitOut]
    paused_until: datetime | None = Field(description="The host has asked to be left alone until then")


def list_budgets(tx: Connection, *, budgets: Budgets, now: int) -> list[BudgetOut]:
    """All hosts that have a budget, in the order of the settings."""
    return [to_budget(budgets.status(tx, host, now=now)) for host in budgets.hosts]


def to_budget(status: BudgetStatus) -> BudgetOut:
    """How a host stands, on the wire."""
    return BudgetOut(
        host=status.host,
        limits=[
            BudgetLimitOut(
                rate=str(each.rate),
                used=each.used,
                remaining=max(0, each.rate.limit - each.used),
                polls=each.polls,
                poll_limit=each.poll_limit,
            )
            for each in status.limits
        ],
        paused_until=None if status.paused_until is None else to_datetime(status.paused_until),
    )
