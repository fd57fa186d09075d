"""The pages: one module each, in the order of the navigation."""

from signalbox.console.page import Page
from signalbox.console.pages import (
    audit,
    conversations,
    criticality,
    gateway,
    grid,
    jobs,
    notifications,
    overview,
    system,
    tasks,
    tokens,
    users,
)

PAGES: tuple[Page, ...] = (
    overview.PAGE,
    gateway.PAGE,
    tasks.PAGE,
    jobs.PAGE,
    notifications.PAGE,
    criticality.PAGE,
    grid.PAGE,
    conversations.PAGE,
    users.PAGE,
    tokens.PAGE,
    audit.PAGE,
    system.PAGE,
)
"""A page is added by its line here; nothing else names it."""
