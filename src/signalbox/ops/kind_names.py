"""Kinds of jobs as people read them in lists."""

import re

_DIGEST = re.compile(r"\.to_(.+)_[0-9a-f]{12}")
"""At the end of kinds that are made of a name which may hold what kinds may not; see ``notifications/job_names.py``."""


def readable(kind: str) -> str:
    """A kind without the digest that tells it from others: ``notifications.deliver.to_my_chat_0123456789ab`` ends ``.my_chat``."""
    return _DIGEST.sub(r".\1", kind)
