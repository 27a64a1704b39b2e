"""HTTP/1.1 with an end to patience: a client that does not finish its request, or reads nothing, is let go."""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

#: Seconds for the head of a request, those for the rest of a body that has been answered already, and those in which
#: what is in flight must get further.
HEAD_SECONDS = 15.0
REST_SECONDS = 5.0
WRITE_SECONDS = 60.0


class PatientProtocol(H11Protocol):
    """uvicorn's protocol, which waits for ever on both sides but between requests."""

    _head: asyncio.TimerHandle | None = None
    _rest: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        super().connection_made(transport)
        # Whatever the system does not take at once counts as in flight: a connection that is closed while the client
        # reads nothing would otherwise stay, with its buffer, for as long as the client does.
        transport.set_write_buffer_limits(high=0)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        super().connection_lost(exc)
        for timer in (self._head, self._rest, self._stalled):
            if timer:
                timer.cancel()

    def data_received(self, data: bytes) -> None:
        """A part of a head, of a body, or of what comes next."""
        super().data_received(data)
        if self._rest and self.conn.their_state is not h11.SEND_BODY:
            self._rest.cancel()
            self._rest = None
        if self.conn.their_state is not h11.IDLE:
            self._forget_head()
        elif self._head is None:
            self._wait_for_head()

    def on_response_complete(self) -> None:
        """Wait no longer than this for a body that nobody reads any more: each byte of it would keep the connection."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            self._rest = self.loop.call_later(REST_SECONDS, self.transport.abort)

    def pause_writing(self) -> None:
        """The client does not take what was written."""
        self.flow.pause_writing()
        if self._stalled is None:
            self._stalled = self.loop.call_later(WRITE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """It has taken all of it."""
        if self._stalled:
            self._stalled.cancel()
            self._stalled = None
        self.flow.resume_writing()

    def _wait_for_head(self) -> None:
        self._head = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _forget_head(self) -> None:
        if self._head:
            self._head.cancel()
            self._head = None
