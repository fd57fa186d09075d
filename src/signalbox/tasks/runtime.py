"""What tasks keep in memory: providers, and who waits for changes."""

from collections.abc import Mapping

from signalbox.infra.context import Context
from signalbox.tasks.feed import Feed
from signalbox.tasks.intake import desk_of
from signalbox.tasks.journal import Journal
from signalbox.tasks.providers import Provider, build_provider
from signalbox.tasks.settings import TasksSettings


class TasksRuntime:
    """Made once in a process; ``open`` it in the event loop that serves."""

    def __init__(self, context: Context, settings: TasksSettings) -> None:
        """Build the providers.

        Raises:
            UnreadableSecretError: a secret of one is not where the settings say.
        """
        self.context, self.settings = context, settings
        self.providers: Mapping[str, Provider] = {
            each.name: build_provider(each, outbound=context.outbound, clock=context.clock)
            for each in settings.providers
        }
        self.desk = desk_of(settings)
        self.journal = Journal(context.broadcast)
        self.feed = Feed(context)

    async def open(self) -> None:
        """Begin to hear of changes."""
        self.feed.open()

    async def close(self) -> None:
        """Hear no more."""
        await self.feed.close()
