"""What a person watches while a study runs: the stage, the epoch, the speed, the time left."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tosmooth.launch import narrates
from tosmooth.terminal import shown

WIDE = 110  # columns, from which there is room for a bar and the time since the beginning


def clock(seconds: float) -> str:
    """`75.2` → `1:15`; `4000` → `1:06:40`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


class StudyProgress:
    """A live bar on a terminal; one line per epoch anywhere else (a log file, a CI run).

    Work is counted in image-steps times the model's parameter count: a good enough proxy for cost to make the time left
    honest across teachers and students.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, quiet=not narrates(), emoji=False)
        # FORCE_COLOR makes the console take a pipe for a terminal: good for colours, wrong for what moves the cursor.
        self._live = self.console.is_terminal and not self.console.is_dumb_terminal and self.console.file.isatty()
        self._wide = self.console.width >= WIDE
        columns = [
            TextColumn("{task.description}", style="bold", markup=False),
            *([BarColumn(bar_width=12)] if self._wide else []),
            TextColumn("{task.percentage:>3.0f} %", style="progress.percentage"),
            TextColumn("{task.fields[detail]}", markup=False),
            *([TimeElapsedColumn()] if self._wide else []),
            TextColumn("{task.fields[left]}"),
        ]
        self._bar = Progress(*columns, console=self.console, transient=True)
        self._task = self._bar.add_task("starting", total=None, detail="", left="")
        self._total = self._done = 0.0
        self._started = time.perf_counter()
        self.samples = "images"  # what the task counts
        self._stage = ""
        self._epochs = 0
        self._cost = 1.0
        self._models = 1
        self._epoch = -1
        # When it began, when its newest batch was done, and when the newest model was judged after it.
        self._epoch_started = self._epoch_seen = self._judged = self._started
        self._epoch_samples = 0
        self._validated: list[float] = []  # of the models, after the newest epoch that has been judged
        self._trained = False  # since then
        self._unit = ""
        self._said: set[str] = set()

    def __enter__(self) -> StudyProgress:
        if self._live:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:  # else rich would print an empty line
            self._bar.stop()

    def expect(self, total: float) -> None:
        """Set the whole work of the study, in sample-steps × parameters."""
        self._total = total
        self._started = time.perf_counter()
        self._bar.update(self._task, total=total)

    def skip(self, work: float) -> None:
        """Leave out work that an earlier run has done."""
        self._total -= work
        self._bar.update(self._task, total=self._total)

    def remote(self, done: float, skipped: float, detail: str) -> None:
        """Show what other machines have done so far."""
        self._done = done
        total = max(0.0, self._total - skipped)
        left = ""
        if total and done >= 0.01 * total:
            left = f"{clock((time.perf_counter() - self._started) * max(0.0, total - done) / done)} left"
        self._bar.update(self._task, description="training", total=total, completed=done, detail=detail, left=left)

    def stage(self, title: str, *, epochs: int = 0, cost: float = 1.0, models: int = 1) -> None:
        """Announce what comes next; `cost` is the parameter count of one model in it."""
        self._stage, self._epochs, self._cost, self._models, self._epoch = title, epochs, cost, models, -1
        self._validated = []
        self._epoch_started = self._epoch_seen = self._judged = time.perf_counter()
        self._bar.update(self._task, detail="", left="", description=self._fitting(title, ""))
        if not self._live:
            self.console.print(shown(title), markup=False, highlight=False, soft_wrap=True)

    def batch(self, epoch: int, samples: int) -> None:
        """Count one batch: `samples` sample-steps over all models of the group."""
        now = time.perf_counter()
        if epoch != self._epoch:
            self._end_epoch()
            # From the end of what came before: the first batch took as long as it took.
            self._epoch, self._epoch_samples, self._epoch_started = epoch, 0, max(self._epoch_seen, self._judged)
        self._epoch_samples += samples
        self._epoch_seen, self._trained = now, True
        self._done += samples * self._cost
        detail, left = self._detail(), self._left(now)
        description = self._fitting(self._stage, f"{detail} {left}")
        self._bar.update(self._task, completed=self._done, description=description, detail=detail, left=left)

    def validated(self, value: float, unit: str) -> None:
        """A model of the group was judged after an epoch.

        Args:
            value: on validation, such as top-1 accuracy in percent.
            unit: of it, with the space before it.
        """
        if self._trained:  # the first model of this epoch
            self._validated, self._trained = [], False
        self._validated.append(value)
        self._unit, self._judged = unit, time.perf_counter()

    def end_stage(self) -> None:
        """Close the stage's last epoch."""
        self._end_epoch()
        self._epoch = -1

    def note(self, text: str) -> None:
        """A line that stays on the screen, printed as it is."""
        self.console.print(shown(text, lines=True), highlight=False, markup=False, soft_wrap=True)

    def note_once(self, text: str) -> None:
        """The same, unless it has been printed before."""
        if text not in self._said:
            self._said.add(text)
            self.note(text)

    def _detail(self) -> str:
        parts = [f"epoch {self._epoch + 1}/{self._epochs}"]
        if self._validated:
            low, high = min(self._validated), max(self._validated)
            parts.append(f"val {low:.1f}" + (f"–{high:.1f}" if high > low else "") + self._unit)
        speed = self._epoch_samples / max(1e-6, self._epoch_seen - self._epoch_started)
        of = f", {self._models} models" if self._models > 1 and (self._wide or not self._live) else ""
        parts.append(f"{speed:,.0f} {self.samples}/s{of}")
        return " · ".join(parts)

    def _fitting(self, title: str, rest: str) -> str:
        """A title, cut where the line would be wider than the terminal."""
        room = self.console.width - len("100 %   ") - len(rest) - (len("0:00:00  ") + 13 if self._wide else 0)
        text = shown(title)
        return text if len(text) <= room else f"{text[: max(0, room - 1)]}…"

    def _left(self, now: float) -> str:
        if self._total <= 0 or self._done < 0.01 * self._total:
            return ""
        return f"{clock((now - self._started) * max(0.0, self._total - self._done) / self._done)} left"

    def _end_epoch(self) -> None:
        if self._epoch >= 0 and not self._live:
            left = self._left(time.perf_counter())
            self.console.print(" · ".join(filter(None, (f"  {self._detail()}", left))), highlight=False, soft_wrap=True)
