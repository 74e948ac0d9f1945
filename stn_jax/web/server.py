"""Runs an application until it is told to stop, and then finishes what it has begun.

waitress receives requests in one thread and in memory, however slowly they come; threads that
answer are only given complete ones.
"""

import contextlib
import json
import logging
import socket
import time
from collections.abc import Callable

import flask
from waitress import wasyncore
from waitress.buffers import ReadOnlyFileBasedBuffer
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask

from stn_jax.config import ConfigError
from stn_jax.web.limits import Limits
from stn_jax.web.security import HEADERS

GRACE = 30.0
"""Seconds that requests get to finish after the signal to stop."""
SPARE = 8
"""Threads beyond those of requests under way: for health checks, and to send others away."""
MAX_HEADER_BYTES = 32_768
_IDLE = 60
"""Seconds that a connection without a request is kept."""
_IDLE_WHEN_FULL = 2
"""The same while others wait to get in: every browser keeps several."""
_TICK = 0.2

_log = logging.getLogger("stn_jax.web")


class _ErrorTask(ErrorTask):
    """Says what waitress refuses, before the application sees it, as the application says it."""

    def execute(self) -> None:
        error = self.request.error
        text = f"{error.reason}: {error.body}."
        if error.code == 413:
            text = self.channel.server.limits.too_large
        body = json.dumps({"error": text}).encode()
        self.status = f"{error.code} {error.reason}"
        self.response_headers += [("Content-Type", "application/json"), *HEADERS.items()]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Channel(HTTPChannel):
    """A connection that knows since when its request has been arriving, or its answer leaving."""

    error_task_class = _ErrorTask
    since = 0.0

    def received(self, data: bytes) -> bool:
        if self.request is None:
            self.since = time.time()
        return super().received(data)

    def write_soon(self, data: bytes | ReadOnlyFileBasedBuffer) -> int:
        self.since = time.time()
        return super().write_soon(data)

    @property
    def in_transit(self) -> bool:
        """Whether a part of a request has arrived, or of an answer is still to leave."""
        return self.request is not None or bool(self.total_outbufs_len)

    @property
    def busy(self) -> bool:
        """Whether it has a request that is not answered and sent yet."""
        # In this order: whoever answers a request writes first, and takes it off the list then.
        return bool(self.requests) or self.in_transit

    def give_up(self) -> None:
        """Ends the connection, also where the other side takes nothing and never lets us write."""
        self.will_close = True
        with contextlib.suppress(OSError):  # it has gone
            self.socket.shutdown(socket.SHUT_RDWR)


class Server(TcpWSGIServer):
    """waitress, with limits to what slow and silent clients hold; its end loses no request."""

    channel_class = _Channel
    limits = Limits()

    def turn(self) -> None:
        """Waits a moment for something to receive or send, and does it."""
        wasyncore.loop(timeout=_TICK, map=self._map, count=1)

    def drain(self) -> None:
        """Takes no more connections, finishes the requests that are here, and ends."""
        # The listening socket only: the server's own close would close its wake-up pipe, too.
        wasyncore.dispatcher.close(self)
        until = time.monotonic() + GRACE
        while self._busy() and time.monotonic() < until:
            self.turn()
        if self._busy():
            _log.warning("stopped before every request was answered")
        self.task_dispatcher.shutdown(cancel_pending=True, timeout=1)
        self.trigger.close()
        wasyncore.close_all(self._map)

    def _busy(self) -> bool:
        return any(channel.busy for channel in list(self.active_channels.values()))

    def maintenance(self, now: float) -> None:
        """Closes connections that are silent, or too slow at sending or taking their part."""
        super().maintenance(now)
        full = len(self._map) >= self.adj.connection_limit
        for channel in self.active_channels.values():
            too_slow = channel.in_transit and channel.since < now - self.limits.upload_limit
            in_the_way = not channel.busy and channel.last_activity < now - _IDLE_WHEN_FULL
            if too_slow or (full and in_the_way):
                channel.give_up()


def bind(host: str, port: int) -> socket.socket:
    """Takes the port, without answering on it yet.

    Raises:
      ConfigError: when that is impossible.
    """
    if not 0 <= port <= 65_535:
        raise ConfigError(f"--port {port} must be between 0 and 65535")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        opened = socket.socket(family, kind, protocol)
    except UnicodeError as error:
        raise ConfigError(f"--host {host} is no name that a machine can have") from error
    except OSError as error:
        raise ConfigError(f"--host {host}: {error.strerror}") from error
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
    except OSError as error:
        opened.close()
        raise ConfigError(f"--host {host} --port {port}: {error.strerror}") from error
    return opened


def listen(app: flask.Flask, opened: socket.socket, *, limits: Limits) -> Server:
    """Opens a port from `bind` to requests; `serve` answers them."""
    # Twice the limit, so that somewhat too large an upload still gets the application's words.
    most = 2 * limits.max_bytes
    server = Server(
        app,
        map={},
        _sock=opened,
        bind_socket=False,
        sockinfo=(opened.family, opened.type, opened.proto, opened.getsockname()),
        sockets=[opened],
        threads=limits.queue + SPARE,
        connection_limit=2 * limits.queue + SPARE,
        max_request_body_size=most,
        max_request_header_size=MAX_HEADER_BYTES,
        # Beyond these, waitress would write to temporary files.
        inbuf_overflow=most + 1_000_000,
        outbuf_overflow=1 << 40,
        channel_timeout=_IDLE,
        cleanup_interval=1,
        ident=None,
        log_socket_errors=False,
    )
    server.limits = limits
    return server


def serve(server: Server, *, stopping: Callable[[], bool], on_stop: Callable[[], None]) -> None:
    """Answers requests until `stopping`, asked several times a second, returns true.

    Then `on_stop` is called, and the requests that are under way are finished.
    """
    while not stopping():
        server.turn()
    on_stop()
    server.drain()
