"""The hub's own calls to other people's servers: sent like any other, and counted like those of the gateway."""

from collections.abc import Callable
from dataclasses import dataclass

from signalbox.core.ids import new_request_id
from signalbox.core.times import MICROSECONDS
from signalbox.infra.clock import Clock
from signalbox.infra.http import Detached, HttpClient, HttpClientError, Request, Response, ResponseTimeoutError

_BAD_GATEWAY, _GATEWAY_TIMEOUT, _ABANDONED = 502, 504, 499
_MAX_PATH = 2_048


@dataclass(frozen=True, slots=True)
class OwnCall:
    """A finished call of the hub itself."""

    started_at: int
    """Microseconds UTC."""
    service: str
    """Whom it was made to, as statistics name it."""
    route: str
    """What it was for: one of few words, never the path."""
    method: str
    path: str
    """As sent, without the query, which may hold secrets."""
    status: int
    """The answer's; 502 where there was no valid one, 504 where there was none in time, 499 where it was not read."""
    micros: int
    """From the sending to the end of the answer."""
    request_bytes: int
    response_bytes: int
    request_id: str


class RecordedClient:
    """Sends calls through an ``HttpClient``; each is told to whoever listens, once its answer has ended.

    Features call other people's servers through this, never through the client itself.
    """

    def __init__(self, client: HttpClient, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self._listener: Callable[[OwnCall], None] | None = None

    def listen(self, listener: Callable[[OwnCall], None]) -> None:
        """Tell of each call from now on; the listener neither blocks nor raises."""
        self._listener = listener

    async def send(self, request: Request, *, service: str, route: str, path: str | None = None) -> Response:
        """Send a call and wait for the head of its answer, which must be read to its end or closed.

        ``path`` is told to the listener instead of the request's own, where that holds a secret.

        Raises:
            HttpClientError: as ``HttpClient.send``.
        """
        watch = _Stopwatch(request, service, route, self, path)
        try:
            response = await self._client.send(request)
        except HttpClientError as error:
            watch.end(status_of(error))
            raise
        except BaseException:
            watch.end(_ABANDONED)
            raise
        return _RecordedResponse(response, watch)

    @property
    def clock(self) -> Clock:
        """Whose time the calls are measured by."""
        return self._clock

    def tell(self, call: OwnCall) -> None:
        """Pass a finished call on to the listener."""
        if self._listener is not None:
            self._listener(call)


def status_of(error: HttpClientError) -> int:
    """The status under which a call without a whole answer counts."""
    return _GATEWAY_TIMEOUT if isinstance(error, ResponseTimeoutError) else _BAD_GATEWAY


class _Stopwatch:
    """Measures one call, and tells of it once."""

    def __init__(self, request: Request, service: str, route: str, client: RecordedClient, path: str | None) -> None:
        self.received = 0
        self._request, self._service, self._route, self._client = request, service, route, client
        self._path = request.target.partition(b"?")[0].decode("ascii") if path is None else path
        self._started_at, self._started = client.clock.now(), client.clock.monotonic()
        self._ended = False

    def end(self, status: int) -> None:
        if self._ended:
            return
        self._ended = True
        request = self._request
        sent = len(request.body) if isinstance(request.body, bytes) else request.content_length or 0
        self._client.tell(
            OwnCall(
                started_at=self._started_at,
                service=self._service,
                route=self._route,
                method=request.method.decode("ascii"),
                path=self._path[:_MAX_PATH],
                status=status,
                micros=int((self._client.clock.monotonic() - self._started) * MICROSECONDS),
                request_bytes=sent,
                response_bytes=self.received,
                request_id=_request_id(request),
            )
        )


class _RecordedResponse:
    """A ``Response`` that tells its stopwatch when it ends."""

    def __init__(self, response: Response, watch: _Stopwatch) -> None:
        self._response, self._watch = response, watch

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        return self._response.headers

    def whole(self) -> bytes | None:
        body = self._response.whole()
        if body is not None:
            self._watch.received += len(body)
            self._watch.end(self.status)
        return body

    async def read(self) -> bytes:
        try:
            piece = await self._response.read()
        except HttpClientError as error:
            self._watch.end(status_of(error))
            raise
        self._watch.received += len(piece)
        if not piece:
            self._watch.end(self.status)
        return piece

    def detach(self) -> Detached:
        self._watch.end(self.status)
        return self._response.detach()

    def close(self) -> None:
        self._watch.end(_ABANDONED)
        self._response.close()


def _request_id(request: Request) -> str:
    given = next((value for name, value in request.headers if name == b"x-request-id"), None)
    return (given or new_request_id()).decode("latin-1")
