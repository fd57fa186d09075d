"""What can go wrong with notifications."""

from signalbox.core.errors import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    UnauthenticatedError,
)


class UnknownTopicError(InvalidError):
    """No route takes the topic, and there is no default."""

    code = "unknown_topic"


class InvalidMessageError(InvalidError):
    """A message lacks what it needs or holds more than it may."""

    code = "invalid_message"


class MessageNotFoundError(NotFoundError):
    """There is no such message, or it was swept."""

    code = "notification_not_found"


class ChannelNotFoundError(NotFoundError):
    """The settings name no such channel."""

    code = "channel_not_found"


class NothingToRetryError(ConflictError):
    """No delivery of the message is dead."""

    code = "nothing_to_retry"


class SilenceNotFoundError(NotFoundError):
    """There is no such silence, or it has ended."""

    code = "silence_not_found"


class InvalidSilenceError(InvalidError):
    """A silence would match everything, or end before it begins."""

    code = "invalid_silence"


class HookNotFoundError(NotFoundError):
    """The settings name no such hook."""

    code = "hook_not_found"


class HookUnsignedError(UnauthenticatedError):
    """A request to a hook carries no token or signature."""

    code = "hook_unsigned"


class HookRefusedError(ForbiddenError):
    """The token or signature of a request to a hook is wrong, or the request too old."""

    code = "hook_refused"


class HookUnreadableError(InvalidError):
    """The body of a request to a hook lacks a field that the settings take from it."""

    code = "hook_unreadable"


class RenderError(InvalidError):
    """A template failed on a message, took too long or made too much of it."""

    code = "render_failed"
