"""Two aiortc peers talk over a data channel, both reachable only through the relays that a gateway gives them.

usage: data_channel.py FIRST_URL SECOND_URL USERNAME PASSWORD COUNT

Each peer uses one TURN URL. Prints `candidate HOST PORT TYPE` for every candidate that a peer offers,
`connected`, and `echoed COUNT` at the end.
"""

import asyncio
import sys

from aiortc import RTCConfiguration, RTCIceServer, RTCIceTransportPolicy, RTCPeerConnection


def peer(url, username, password):
    server = RTCIceServer(urls=url, username=username, credential=password)
    return RTCPeerConnection(RTCConfiguration(iceServers=[server], iceTransportPolicy=RTCIceTransportPolicy.RELAY))


def candidates(description):
    """The candidates of a session description, as (host, port, type)."""
    for line in description.sdp.splitlines():
        if line.startswith("a=candidate:"):
            words = line.split()
            yield words[4], words[5], words[words.index("typ") + 1]


async def negotiate(caller, callee):
    await caller.setLocalDescription(await caller.createOffer())
    await callee.setRemoteDescription(caller.localDescription)
    await callee.setLocalDescription(await callee.createAnswer())
    await caller.setRemoteDescription(callee.localDescription)
    for side in (caller, callee):
        for candidate in candidates(side.localDescription):
            print("candidate", *candidate, flush=True)


async def main(first_url, second_url, username, password, count):
    caller = peer(first_url, username, password)
    callee = peer(second_url, username, password)
    opened = asyncio.Event()
    echoes = asyncio.Queue()

    channel = caller.createDataChannel("echo")
    channel.on("open", opened.set)
    channel.on("message", echoes.put_nowait)

    @callee.on("datachannel")
    def on_channel(other):
        other.on("message", other.send)

    await negotiate(caller, callee)
    await asyncio.wait_for(opened.wait(), timeout=40)
    print("connected", flush=True)
    for number in range(int(count)):
        sent = f"message {number} " * (1 + number % 100)
        channel.send(sent)
        assert await asyncio.wait_for(echoes.get(), timeout=20) == sent
    print("echoed", count, flush=True)
    await asyncio.gather(caller.close(), callee.close())


asyncio.run(main(*sys.argv[1:]))
