"""Conversations: imports of data sets, and searches in what is live."""

from signalbox.app.features import Feature
from signalbox.app.settings import Settings
from signalbox.auth.security import Guard
from signalbox.conversations import jobs, routes, sweeping
from signalbox.conversations.exports import Exports
from signalbox.conversations.importing import tidy_words
from signalbox.conversations.polls import Searches
from signalbox.conversations.runtime import ConversationRuntime, Kept, KeptCodec
from signalbox.conversations.uploads import Uploads
from signalbox.infra.cache import Cache
from signalbox.infra.cache.memory import MemoryCache
from signalbox.infra.context import Context
from signalbox.ops.sweeps import Sweep


def build(context: Context, settings: Settings, guard: Guard) -> Feature:
    """All of it."""
    runtime = ConversationRuntime(context, settings.conversations, _open_cache(context, settings))
    return Feature(
        "conversations",
        routers=[routes.build_router(context, guard)],
        polls=[*Searches(runtime).polls(), Exports(runtime).poll(), Uploads(context, settings.conversations).poll()],
        kinds=jobs.build_kinds(context, settings.conversations),
        subscribers=[jobs.build_follower()],
        sweeps=[
            Sweep("conversation_text", context.db, tidy_words),
            Sweep("conversation_import", context.db, sweeping.sweep_some),
        ],
        runtime=runtime,
    )


def _open_cache(context: Context, settings: Settings) -> Cache[Kept]:
    url = settings.cache.redis_url
    if url is None:
        return MemoryCache(KeptCodec(), clock=context.clock, max_bytes=settings.conversations.cache_bytes)
    from signalbox.infra.cache.redis import RedisCache  # noqa: PLC0415 - an extra, needed by those who set it

    return RedisCache(KeptCodec(), clock=context.clock, url=url.reveal(), namespace="signalbox:conversations:")
