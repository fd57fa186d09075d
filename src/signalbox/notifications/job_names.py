"""The names of the jobs that make deliveries: a kind for each channel.

A kind of job has its own room in every worker, so that one channel, however slow, takes nothing from another.
"""

import hashlib
import re

PREFIX = "notifications.deliver."

_LONGEST = 40
_PLAIN = re.compile(r"[a-z][a-z0-9_]*")


def deliver_kind(channel: str) -> str:
    """The kind of the jobs that deliver to a channel; different for any two channels.

    Names of channels may hold what those of kinds may not: these get a digest of theirs behind them.
    """
    if len(channel) <= _LONGEST and _PLAIN.fullmatch(channel):
        return PREFIX + channel
    readable = re.sub(r"[^a-z0-9]+", "_", channel.lower())[:_LONGEST].strip("_")
    return f"{PREFIX}to_{readable}_{hashlib.sha256(channel.encode()).hexdigest()[:12]}"
