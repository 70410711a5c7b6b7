"""Progress of a run: a bar on a terminal, plain lines elsewhere; both on standard error."""

import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

_EVERY_SECONDS = 30.0


class Reporter:
    """Shows notes and how many runs are done; use it as a context manager."""

    def __init__(self, *, console: Console | None = None) -> None:
        """Writes to standard error unless given another console."""
        self._console = console or Console(stderr=True)
        self.done: dict[str, int] = {}
        self.total: dict[str, int] = {}
        self._shown: dict[str, tuple[int, float]] = {}
        self._bar: Progress | None = None
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Self:
        """Starts the bar."""
        if self._console.is_terminal:
            columns = (BarColumn(), MofNCompleteColumn(), TextColumn("runs"), TimeElapsedColumn())
            self._bar = Progress(
                TextColumn("{task.description}", markup=False), *columns, TimeRemainingColumn(), console=self._console
            )
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leaves the bar as it is."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def note(self, message: str) -> None:
        """Shows one line that the user should know."""
        self.say(f"note: {message}")

    def say(self, message: str) -> None:
        """Prints one line as it is."""
        self._console.print(Text(message), soft_wrap=True)

    def expect(self, label: str, total: int) -> None:
        """Announces a part of the run."""
        self.done[label], self.total[label] = 0, total
        if self._bar is not None:
            self._tasks[label] = self._bar.add_task(label, total=total)

    def __call__(self, event: Any) -> None:
        """The progress callback of `brainjax.sweep.execute`."""
        if event.note:
            self.note(event.note)
        self.done[event.label] = event.done
        if self._bar is not None:
            self._bar.update(self._tasks[event.label], completed=event.done)
            return
        shown, when = self._shown.get(event.label, (-1, 0.0))
        now = time.monotonic()
        tenth = max(event.total // 10, 1)
        finished = event.done == event.total and shown != event.done
        if finished or shown < 0 or event.done - shown >= tenth or now - when > _EVERY_SECONDS:
            self.say(f"{event.label}: {event.done} of {event.total} runs")
            self._shown[event.label] = (event.done, now)
