"""The moment from which a process only finishes what is under way."""

from collections.abc import Callable


class Drain:
    """Tells those who would wait long, such as streams and long polls, that the process is about to end."""

    def __init__(self) -> None:
        self.begun = False
        """Whether it has begun; nothing that takes long is to start any more."""
        self._listeners: dict[object, Callable[[], None]] = {}

    def listen(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback`` once when the drain begins; returns a function that takes it back."""
        mark = object()
        self._listeners[mark] = callback

        def forget() -> None:
            self._listeners.pop(mark, None)

        return forget

    def begin(self) -> None:
        """Tell everybody; a second time nobody."""
        self.begun = True
        listeners, self._listeners = self._listeners, {}
        for callback in listeners.values():
            callback()
