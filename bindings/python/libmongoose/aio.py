"""A manager as the guest of asyncio: no thread, no polling at intervals.

    async def main():
        with Manager(handler) as manager:
            manager.listen("http://0.0.0.0:8000")
            async with attached(manager):
                await asyncio.sleep(3600)

MG_EV_POLL comes only when something happens: use timers, of either side.
"""
from __future__ import annotations

import asyncio
from typing import Any, Callable, Optional

from . import Manager, Phase

__all__ = ["attached", "drained"]


class attached:
    """Lets the running loop drive a manager: `async with attached(manager): ...`. `on_error(exception)` gets what handlers raise;
    without it the loop's exception handler does."""

    def __init__(self, manager: Manager, on_error: Optional[Callable[[BaseException], None]] = None):
        self.manager, self._on_error = manager, on_error
        self._timer: Optional[asyncio.TimerHandle] = None
        self._soon: Optional[asyncio.Handle] = None
        self._waiting: list[asyncio.Future[None]] = []

    async def __aenter__(self) -> "attached":
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self.manager.fileno(), self._turn)
        # Whatever is done to the manager outside its poll may change how long there is to wait.
        self.manager.on_touched = self._later
        self.manager._attached = self  # type: ignore[attr-defined]
        self._arm()
        return self

    async def __aexit__(self, *_: Any) -> None:
        self.manager.on_touched = None
        self._loop.remove_reader(self.manager.fileno())
        for handle in (self._timer, self._soon):
            if handle is not None:
                handle.cancel()

    def _later(self) -> None:
        if self._soon is None:
            self._soon = self._loop.call_soon(self._arm)

    def _arm(self) -> None:
        self._soon = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        ms = self.manager.timeout_ms()
        if ms >= 0:
            self._timer = self._loop.call_later(ms / 1000, self._turn)

    def _turn(self) -> None:
        try:
            self.manager.poll(0)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as e:
            if self._on_error:
                self._on_error(e)
            else:
                self._loop.call_exception_handler({"message": "libmongoose handler failed", "exception": e})
        finally:
            if self.manager.phase == Phase.DONE:
                for future in self._waiting:
                    if not future.done():
                        future.set_result(None)
            self._arm()


async def drained(manager: Manager, **options: Any) -> None:
    """Starts a drain of an attached manager, and waits until it is done."""
    guest: attached = manager._attached  # type: ignore[attr-defined]
    future = asyncio.get_running_loop().create_future()
    guest._waiting.append(future)
    manager.drain(**options)
    await future
