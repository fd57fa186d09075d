"""A message as a channel gets it: its templates run, those that go with it named."""

from collections.abc import Sequence

from signalbox.notifications.channel_settings import TemplateSettings
from signalbox.notifications.channels import Notice, Summary
from signalbox.notifications.routing import rank
from signalbox.notifications.schemas import StoredMessage
from signalbox.notifications.templates import Member, Subject, default_title, render


def to_notice(of: StoredMessage, carried: Sequence[StoredMessage], template: TemplateSettings) -> Notice:
    """The message, and with it those that it carries; the worst severity of them counts.

    Raises:
        RenderError: a template failed.
    """
    whole = sorted([of, *carried], key=lambda each: each.number) if carried else []
    look = render(to_subject(of, whole), title=template.title, text=template.text, html=template.html)
    return Notice(
        id=of.id,
        topic=of.topic,
        severity=max([of.severity, *(each.severity for each in carried)], key=rank),
        title=look.title,
        text=look.text,
        html=look.html,
        app=of.app,
        customer=of.customer,
        metadata=of.metadata,
        created_at=of.created_at,
        group=tuple(Summary(each.id, default_title(to_subject(each)), each.created_at) for each in whole),
    )


def to_subject(of: StoredMessage, group: Sequence[StoredMessage] = ()) -> Subject:
    """A message as templates see it."""
    members = [Member(each.id, each.topic, each.severity, each.description, each.created_at) for each in group]
    return Subject(
        of.id, of.topic, of.severity, of.description, of.app, of.customer, of.metadata, of.created_at, members
    )
