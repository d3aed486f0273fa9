"""A fixed set of threads that run calls, and tidy up after themselves: each may hold a database connection."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
R = TypeVar("R")


class Workers(Generic[T, R]):
    """Runs `work` on `count` threads; each calls `at_end` once, on its own thread, when it stops."""

    def __init__(self, count: int, work: Callable[[T], R], at_end: Callable[[], object]) -> None:
        self._work = work
        self._at_end = at_end
        self._queue: SimpleQueue[tuple[T, Future[R]] | None] = SimpleQueue()
        # Daemons: a call that never ends must not keep the process alive.
        self._threads = [threading.Thread(target=self._run, name=f"api-{n}", daemon=True) for n in range(count)]
        for thread in self._threads:
            thread.start()

    def call(self, item: T) -> R:
        """Run `work(item)` on a free thread and return its result, or raise what it raised."""
        future: Future[R] = Future()
        self._queue.put((item, future))
        return future.result()

    def stop(self, seconds: float) -> None:
        """Finish what was asked for, at most so long for each thread."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join(seconds)

    def _run(self) -> None:
        while (asked := self._queue.get()) is not None:
            item, future = asked
            try:
                future.set_result(self._work(item))
            except BaseException as error:  # noqa: BLE001 - it is raised again where the result is waited for
                future.set_exception(error)
        self._at_end()
