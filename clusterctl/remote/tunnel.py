"""A port on this machine that leads through an open SSH connection to a port over there."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from typing import Any

CHUNK = 32768


class Tunnel:
    """Carry connections to `port` of this machine's loopback on to `far_port` of the host's.

    Fabric's forward_local would do, but it returns before it listens, and it ends for good when the far
    port refuses once: while etcd starts, that is what a waiting caller sees.
    """

    def __init__(self, transport: Any, far_port: int, *, within: float = 5.0) -> None:
        self._transport, self._far, self._within = transport, ("127.0.0.1", far_port), within
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name="tunnel", daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(near,), name="tunnelled", daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        # Whatever ends one connection ends it for its caller, who reads that from the socket.
        with near, contextlib.suppress(Exception):
            # As on the SSH connection: without it each answer in two pieces waits 40 ms for an ACK.
            near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            far = self._transport.open_channel("direct-tcpip", self._far, near.getpeername(), timeout=self._within)
            with far:
                while True:
                    ready = select.select([near, far], [], [])[0]
                    for source, sink in ((near, far), (far, near)):
                        if source in ready:
                            data = source.recv(CHUNK)
                            if not data:
                                return
                            sink.sendall(data)

    def close(self) -> None:
        """Listen no longer; what is being carried ends with the SSH connection."""
        with contextlib.suppress(OSError):
            # Closing alone would not wake the thread that waits in accept.
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
