"""An event loop on a thread of its own, so that async code has a plain, synchronous face.

Works inside a running loop too (notebooks), where `asyncio.run` would refuse.
"""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Background:
    """Starts its thread with the first `run`; `close` ends it and may be called twice."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs to the end and gives the result; an interrupt of the caller cancels the work."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name=self._name, daemon=True)
            self._thread.start()
        task = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return task.result()
        finally:
            task.cancel()  # does nothing to one that is done

    @property
    def started(self) -> bool:
        """Whether anything was run since the start or the last close."""
        return self._loop is not None

    def close(self) -> None:
        """Stops the loop and joins the thread."""
        if self._loop is None or self._thread is None:
            return
        asyncio.run_coroutine_threadsafe(_cancel_others(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = self._thread = None


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
