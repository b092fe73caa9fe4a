"""The same as call.pl, for hosts without perl. It goes over as it stands here."""
# ruff: noqa: T201, PLW0603
# mypy: ignore-errors

import errno
import os
import select
import signal
import socket
import struct
import sys
import time

me, secs, token, *words = sys.argv[1:]
signal.alarm(int(float(secs)) + 2)
RESET = struct.pack("ii", 1, 0)
PING = b"\x00\x82\xa5SeqNo\x07\xa4Node\xa0"
start = time.monotonic()
end = start + float(secs)
ours = os.getpid() & 0xFFFF
raw = None
came = {}


class Task:
    """One call."""

    def __init__(self, word):
        self.word = word
        self.kind, self.ip, port, size = word.split(":")
        self.port, self.size = int(port), int(size)
        self.s, self.ok, self.tries, self.next, self.at, self.seen = None, False, 0, 0.0, 0.0, "nothing was sent"
        self.sizes = ()

    def open(self, kind, proto=0):
        """Open a socket from our own address."""
        self.s = socket.socket(socket.AF_INET, kind, proto)
        self.s.bind((me, 0))
        self.s.setblocking(False)

    def close(self):
        """Close it without a trace."""
        if not self.size:
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.s.close()
        self.s = None

    def yes(self, what):
        """Note that it came through."""
        self.ok, self.seen = True, str(what)

    def tcp(self, now):
        """Connect; a connection that is not there after 0.5 s is tried anew."""
        if self.s:
            if select.select([], [self.s], [], 0)[1]:
                error = self.s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error and error != errno.ECONNRESET:
                    self.seen, self.next = os.strerror(error), now + 0.15
                else:
                    self.yes("connected")
                self.close()
            elif now - self.at > 0.5:
                self.seen = "no answer"
                self.close()
        if self.s or self.ok or now < self.next:
            return
        self.open(socket.SOCK_STREAM)
        self.tries += 1
        self.at = now
        if self.tries == 1:
            self.seen = "no answer"
        error = self.s.connect_ex((self.ip, self.port))
        if error not in (0, errno.EINPROGRESS):
            self.seen, self.next = os.strerror(error), now + 0.15
            self.close()

    def udp(self, now):
        """Send what our listener or memberlist answers."""
        if not self.s:
            self.open(socket.SOCK_DGRAM)
            self.s.connect((self.ip, self.port))
        try:
            if self.s.recv(2000):
                self.yes("answered")
            return
        except BlockingIOError:
            pass
        if now < self.next:
            return
        self.tries += 1
        self.next = now + 0.1
        self.s.send(f"{token} {me}".encode() if self.kind == "udp" else PING)
        if self.tries == 1:
            self.seen = "no answer"

    def burst(self, now):
        """Send packets that are no VXLAN: the kernel counts them, then throws them away."""
        self.next = self.next or start + 0.1
        if now < self.next:
            return
        if not self.s:
            self.open(socket.SOCK_DGRAM)
        for _ in range(self.size):
            self.s.sendto(bytes(8), (self.ip, self.port))
        self.next = now + 0.09
        self.tries += 1
        if self.tries >= 8:
            self.yes("sent")

    def mtu(self, now):
        """Send ten sizes at once, twice; then those between the largest that came and the next."""
        global raw
        if raw is None:
            raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
            raw.bind((me, 0))
            raw.setblocking(False)
            raw.setsockopt(socket.IPPROTO_IP, 10, 3)  # IP_MTU_DISCOVER, IP_PMTUDISC_PROBE: do not fragment
        try:
            while True:
                data, who = raw.recvfrom(2000)
                head = (data[0] & 15) * 4
                kind, _, _, theirs, size = struct.unpack("!BBHHH", data[head : head + 8])
                if kind == 0 and theirs == ours:
                    came.setdefault(who[0], set()).add(size)
        except BlockingIOError:
            pass
        mine = came.get(self.ip, set())
        low = max(mine, default=0)
        if low >= self.size:
            self.yes(low)
            return
        if not self.sizes:
            self.sizes = (576, 800, 1000, 1200, 1280, 1350, 1400, 1450, 1480, self.size)
        elif now < self.next:
            return
        elif low and self.tries >= 2:
            high = min(n for n in (*self.sizes, self.size) if n > low)
            if high - low <= 1:
                self.yes(low)
                return
            self.sizes = (*(low + (high - low) * n // 10 for n in range(1, 10)), high)
            self.tries = 0
        self.seen = str(low or "no answer")
        self.tries += 1
        self.next = now + 0.2
        for size in self.sizes:
            if size not in mine:
                self.echo(size)

    def echo(self, size):
        """Send an echo request that makes a packet of this size."""
        body = bytes(size - 28)
        whole = struct.pack("!BBHHH", 8, 0, 0, ours, size) + body
        total = sum(struct.unpack(f"!{(len(whole) + 1) // 2}H", whole + b"\0" * (len(whole) % 2)))
        while total >> 16:
            total = (total >> 16) + (total & 0xFFFF)
        try:
            raw.sendto(struct.pack("!BBHHH", 8, 0, ~total & 0xFFFF, ours, size) + body, (self.ip, 0))
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                raise


Task.gossip = Task.udp
tasks = [Task(w) for w in words]
while time.monotonic() < end:
    left = [t for t in tasks if not t.ok]
    if not left:
        break
    for t in left:
        try:
            getattr(t, t.kind)(time.monotonic())
        except OSError as error:
            t.seen = error.strerror or str(error)
    read = [t.s for t in left if t.s and t.kind != "tcp"] + ([raw] if raw else [])
    select.select(read, [t.s for t in left if t.s and t.kind == "tcp"], [], 0.02)
for t in tasks:
    print("call", t.word, "ok" if t.ok else "no", t.tries, t.seen)
print("end")
