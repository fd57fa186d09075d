import asyncio
import contextlib
from urllib.parse import urlsplit

import pytest

from signalbox.sandbox.world import opened_world
from tests.support.processes import ask


async def test_everybody_is_there_and_gone_afterwards() -> None:
    async with opened_world() as world:
        urls = [world.shop_url, world.provider_url, world.slack_url, world.receiver_url, world.mail.url]
        urls += [world.mail_url]
        ports = {urlsplit(url).port for url in urls}
        assert len(ports) == 6
        assert (await asyncio.to_thread(ask, f"{world.provider_url}/tasks")).json == []
        assert (await asyncio.to_thread(ask, f"{world.shop_url}/categories/MLA97994")).status in (200, 404, 500, 503)
        for inbox in (world.slack_url, world.mail_url):
            assert (await asyncio.to_thread(ask, f"{inbox}/inbox")).status == 200
        reader, writer = await asyncio.open_connection("127.0.0.1", world.mail.port)
        assert (await reader.readline()).startswith(b"220 ")
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
