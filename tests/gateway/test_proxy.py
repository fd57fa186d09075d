async def test_it(world):
    hub = await world.hub()
    a = await hub.ask(b"/x//y%2f?a=1&a=2;")
    print(a, world.seen)
async def test_it2(world):
    hub = await world.hub()
    for t in (b"*", b"http://evil.example", b"http://evil.example/x", b"/a?", b"/a#b", b"/a\xff", b"/a b", b"/a?b#c", b"/\"<>"):
        n = len(world.raw.calls)
        a = await hub.ask(t)
        print(t, a.status, a.body[:150], world.raw.calls[-1].target if len(world.raw.calls) > n else None)
    for d in (b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n",
       b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
       b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n\r\n",
       b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAA\r\n\r\n",
       b"POST /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc",
       b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
       b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
       b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
       b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
       b"GET /x HTTP/1.1\r\nHost: a;for=1.2.3.4\r\n\r\n",
       b"GET /x HTTP/1.0\r\n\r\n",
       b"GET /eof HTTP/1.0\r\nHost: a\r\n\r\n",
       b"PROPFIND /x HTTP/1.1\r\nHost: a\r\n\r\n",
       b"FOO /x HTTP/1.1\r\nHost: a\r\n\r\n",
       ):
        n = len(world.raw.calls)
        try:
            a = await hub.exchange(d)
        except BaseException as e:
            a = repr(e)
        print(d, a,  world.raw.calls[-1] if len(world.raw.calls) > n else None)
