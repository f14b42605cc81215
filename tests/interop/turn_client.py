"""aioice's TURN client sends datagrams to a peer that echoes them, and counts what comes back.

usage: turn_client.py SERVER_HOST SERVER_PORT udp|tcp USERNAME PASSWORD PEER_HOST PEER_PORT COUNT

Prints `relayed HOST PORT` once it has a relay and `echoed COUNT` at the end.
"""

import asyncio
import sys

from aioice.turn import create_turn_endpoint


class Receiver(asyncio.DatagramProtocol):
    def __init__(self):
        self.datagrams = asyncio.Queue()

    def datagram_received(self, data, source):
        self.datagrams.put_nowait((data, source))


async def main(host, port, transport, username, password, peer_host, peer_port, count):
    peer = (peer_host, int(peer_port))
    relay, receiver = await create_turn_endpoint(
        Receiver,
        server_addr=(host, int(port)),
        username=username,
        password=password,
        transport=transport,
    )
    print("relayed", *relay.get_extra_info("sockname"), flush=True)
    for number in range(int(count)):
        sent = f"datagram {number}".encode() * (1 + number % 50)
        relay.sendto(sent, peer)
        echo = await asyncio.wait_for(receiver.datagrams.get(), timeout=20)
        assert echo == (sent, peer), f"{echo[1]} sent {len(echo[0])} bytes for {len(sent)}"
    print("echoed", count, flush=True)
    relay.close()


asyncio.run(main(*sys.argv[1:]))
