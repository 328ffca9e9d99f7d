"""A progress bar with the current loss."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

REFRESH = 0.05  # seconds between two updates: a step of descent takes microseconds, drawing one milliseconds


@contextmanager
def progress_bar(steps: int, *, console: Console | None = None) -> Iterator[Callable[[int, float], None]]:
    """Show a bar over `steps` steps, and yield the function `on_step(step, loss)` that moves it.

    It is drawn on standard error (or on `console`), and stays there with the last step and loss when it ends.
    """
    bar = Progress(
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]}"),
        TimeElapsedColumn(),
        console=console or Console(stderr=True),
    )
    task = bar.add_task("training", total=steps, loss="…")
    drawn, last = 0.0, (0, float("nan"))

    def draw() -> None:
        bar.update(task, completed=last[0], loss=f"{last[1]:.6g}")

    def on_step(step: int, loss: float) -> None:
        nonlocal drawn, last
        last = (step, loss)
        if (now := time.monotonic()) - drawn >= REFRESH:
            drawn = now
            draw()

    with bar:
        try:
            yield on_step
        finally:
            bar.update(task, total=last[0])  # an early stop is an end too, not a bar that hangs
            draw()
