"""One study over several machines: its groups fanned out with Ray, its results in one folder.

The process that was started holds the study's lock, plans, shows progress, and analyses. Workers train: first the
teachers, then what is stored of each, then the students, as many at a time as the cluster has room for. All machines
must see the study's folder (and the data) under the same path, as on any shared file system. A worker that is lost with
its machine is replaced by Ray, and its group goes on from its last checkpoint.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from tosmooth.config.schema import StudyConfig, dump_config
from tosmooth.errors import ConfigError, Interrupted, StudyError, TosmoothError
from tosmooth.folder.lock import StudyLock
from tosmooth.folder.paths import WORKERS, StudyDirectory
from tosmooth.recipes.reading import load_config
from tosmooth.study.context import Context
from tosmooth.study.plan import Cell
from tosmooth.study.precision_trial import measures_precision, settle_precision
from tosmooth.study.progress import StudyProgress
from tosmooth.study.stages import train_students, train_teachers
from tosmooth.study.teacher_answers import StudyTeaching
from tosmooth.training.stopping import Stopping

RETRIES = 20  # of a job whose machine or process was lost
PATIENCE_SECONDS = 60.0  # for a lost worker to let go of its group, and for workers to save when the study is stopped
REPORT_SECONDS = 0.5


class Job(NamedTuple):
    """A piece of work for one worker: which precision is faster, a teacher, its stored logits or translations, or a
    group of students."""

    key: str
    stage: str  # "precision", "teacher", "logits", "sequences" or "students"
    names: tuple[str, ...]


def jobs_of(
    context: Context, workers: int, groups: Sequence[Sequence[Cell]] | None = None
) -> tuple[list[Job], list[Job], list[Job]]:
    """What is left to do, stage by stage; the jobs of a stage can be worked on at the same time.

    The students of a seed share their batches, so they stay one group unless that would leave workers idle.

    Args:
        context: of the study.
        workers: how many jobs the cluster has room for at once.
        groups: of students; None = the grid's, with their controls.
    """
    plan = context.plan
    grid, groups = groups is None, plan.together if groups is None else groups
    teachers = [Job(f"teacher-{t.name}", "teacher", (t.name,)) for t in context.unfinished(plan.teachers)]
    left = [todo for group in groups if (todo := context.unfinished(group))]
    students: list[Job] = []
    taught_by: set[str] = set()
    translating: set[str] = set()
    for todo in left:
        parts = max(1, min(len(todo), workers // len(left)))
        size = min(context.config.compute.group_size or len(todo), -(-len(todo) // parts))
        taught_by |= {cell.teacher for cell in todo if cell.distilled}
        translating |= {cell.teacher for cell in todo if cell.relabels}
        for start in range(0, len(todo), size):
            part = todo[start : start + size]
            key = f"{'seed' if grid else 'rates-of-seed'}-{part[0].seed}-part-{start // size}"
            students.append(Job(key, "students", tuple(c.name for c in part)))
    stored = context.stored_views is not None
    logits = [Job(f"logits-{t.name}", "logits", (t.name,)) for t in plan.teachers if stored and t.name in taught_by]
    logits += [Job(f"sequences-{t.name}", "sequences", (t.name,)) for t in plan.teachers if t.name in translating]
    return teachers, logits, students


def train_with_ray(address: str | None) -> Callable[[Context], None]:
    """How `run_study` trains a grid on a Ray cluster.

    Args:
        address: of the cluster ("auto": the one this machine belongs to); None starts one on this machine.
    """

    def train(context: Context) -> None:
        ray = _connected(address, context.stopping)
        try:
            # Beside this process, so that it is lost with no other machine.
            here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
                ray.get_runtime_context().get_node_id(), soft=False
            )
            board = ray.remote(num_cpus=0, scheduling_strategy=here)(_Board).remote()
            each = _resources(ray, context.config)
            with context.stopping.deferred():  # an exception out of Ray's compiled code would arrive as another one
                if measures_precision(context.config):  # on a worker, whose device may not be this machine's
                    _run_jobs(ray, context, [Job("precision", "precision", ())], board, each)
                if context.plan.trials:
                    for jobs in jobs_of(context, _room(ray, each), context.plan.trials):
                        _run_jobs(ray, context, jobs, board, each)
                for jobs in jobs_of(context.at_own_rates(), _room(ray, each)):
                    _run_jobs(ray, context, jobs, board, each)
        except SystemError:
            if context.stopping.requested is None:
                raise
            raise Interrupted(context.stopping.requested) from None  # by a second signal, which does not wait
        finally:
            ray.shutdown()

    return train


def _connected(address: str | None, stopping: Stopping) -> Any:
    try:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray
        import ray.util.scheduling_strategies
    except ImportError:
        raise ConfigError(['--engine ray: Ray is not installed; pip install "tosmooth[ray]"']) from None
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        ray.init(**quiet, include_dashboard=False) if address is None else ray.init(address=address, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError([f"--address: no Ray cluster answers at {address!r} ({reason})"]) from None
    stopping.listen()  # Ray has put its own handler of SIGTERM in place
    return ray


def _resources(ray: Any, config: StudyConfig) -> dict[str, float]:
    """What a job asks for: a GPU where there are any, else `compute.threads` CPUs, or all of the smallest machine."""
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    threads = config.compute.threads
    if config.compute.device in {"auto", "cuda"} and any(node.get("GPU", 0) for node in alive):
        return {"num_gpus": 1, "num_cpus": threads or 1}
    return {"num_cpus": threads or max(1, int(min((node["CPU"] for node in alive if node.get("CPU")), default=1)))}


def _room(ray: Any, each: dict[str, float]) -> int:
    """How many jobs the cluster's machines can work on at once.

    Raises:
        ConfigError: not even one; Ray would wait for ever for a machine that can.
    """
    kinds = {"num_cpus": "CPU", "num_gpus": "GPU"}
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    room = sum(min(int(node.get(kinds[kind], 0) // need) for kind, need in each.items()) for node in alive)
    if room == 0:
        wanted = " and ".join(f"{need:g} {kinds[kind]}s" for kind, need in each.items())
        raise ConfigError([f"--engine ray: no machine of the cluster offers {wanted}; lower compute.threads"])
    return room


def _run_jobs(ray: Any, context: Context, jobs: Sequence[Job], board: Any, each: dict[str, float]) -> None:
    """Work on jobs until all are done.

    Raises:
        TosmoothError: what one of them failed with; the others are stopped, and have saved.
        Interrupted: a signal asked for it, and all have saved.
    """
    config, root = dump_config(context.config), str(context.directory.path.parent.absolute())
    task = ray.remote(max_retries=RETRIES, **each)(_work)
    pending = {task.remote(job, config, root, str(Path.cwd()), board): job for job in jobs}
    try:
        while pending:
            ready, _ = ray.wait(list(pending), timeout=REPORT_SECONDS)
            _show(ray, context.progress, board)
            if context.tracking is not None:
                context.tracking.update()
            if context.stopping.requested is not None:
                raise Interrupted(context.stopping.requested)
            for reference in ready:
                job = pending.pop(reference)
                try:
                    ray.get(reference)
                except ray.exceptions.RayTaskError as error:
                    cause = error.cause
                    if isinstance(cause, TosmoothError | OSError):
                        raise cause from None
                    raise
                except ray.exceptions.RayError as error:
                    reason = str(error).strip().splitlines()[0]
                    raise StudyError(
                        f"the workers on {job.key} were lost {RETRIES} times ({reason}); the same command goes "
                        "on from the last checkpoint"
                    ) from None
    finally:
        for reference in pending:
            ray.cancel(reference)
        if pending:
            ray.wait(list(pending), num_returns=len(pending), timeout=PATIENCE_SECONDS)
        _show(ray, context.progress, board)


def _show(ray: Any, progress: StudyProgress, board: Any) -> None:
    done, skipped, running, notes = ray.get(board.read.remote())
    for note in notes:
        progress.note(note)
    progress.remote(done, skipped, f"{running} at work")


class _Board:
    """An actor that gathers what the workers have to say."""

    def __init__(self) -> None:
        self._done: dict[str, tuple[float, float]] = {}
        self._running: set[str] = set()
        self._notes: list[str] = []

    def report(self, key: str, done: float, skipped: float, running: bool, note: str | None) -> None:
        """Take what a worker has done so far."""
        self._done[key] = (done, skipped)
        (self._running.add if running else self._running.discard)(key)
        if note is not None:
            self._notes.append(note)

    def read(self) -> tuple[float, float, int, list[str]]:
        """Work done, work left out, jobs at work, and the notes since the last reading."""
        notes, self._notes = self._notes, []
        done, skipped = (sum(values) for values in zip(*self._done.values(), strict=True)) if self._done else (0.0, 0.0)
        return done, skipped, len(self._running), notes


class _Reporting(StudyProgress):
    """Progress of a worker, shown by the process that was started."""

    def __init__(self, board: Any, key: str) -> None:
        super().__init__(Console(quiet=True))
        self._board, self._key, self._host = board, key, socket.gethostname()
        self._reported = 0.0
        self._skipped = 0.0

    def skip(self, work: float) -> None:
        self._skipped += work

    def stage(self, title: str, *, epochs: int = 0, cost: float = 1.0, models: int = 1) -> None:
        super().stage(title, epochs=epochs, cost=cost, models=models)
        self.note(f"{title} · process {os.getpid()} on {self._host}")

    def batch(self, epoch: int, samples: int) -> None:
        super().batch(epoch, samples)
        if time.monotonic() - self._reported >= REPORT_SECONDS:
            self._reported = time.monotonic()
            self.send()

    def note(self, text: str) -> None:
        self.send(text)

    def send(self, note: str | None = None, *, running: bool = True) -> None:
        """Report to the board, without waiting for it."""
        self._board.report.remote(self._key, self._done, self._skipped, running, note)


def _work(job: Job, config: str, root: str, folder: str, board: Any) -> None:
    """One job, in a worker process of the cluster."""
    import yaml

    if Path(folder).is_dir():
        os.chdir(folder)  # relative paths of the configuration mean what they meant where the study was started
    progress = _Reporting(board, job.key)
    study = load_config(yaml.safe_load(config))
    if not StudyDirectory(Path(root) / study.name).config.is_file():
        raise StudyError(
            f"{socket.gethostname()} does not see {Path(root) / study.name}; put --output on a file system that all "
            "machines share"
        )
    try:
        with Stopping() as stopping:
            context = Context.join(study, Path(root), progress, stopping=stopping)
            lock = context.directory.state / WORKERS / job.key
            with StudyLock(lock, f"{study.name}: {job.key}", progress.note, wait=PATIENCE_SECONDS):
                _do(context, job)
    except Interrupted:
        # Saved. Not a result: a machine that shuts down must lose its job to another one. (A cancelled job ends here
        # too, and is not given to anybody.)
        progress.send(running=False)
        os._exit(1)
    except TosmoothError as error:
        # Ray sends exceptions by their text: one with arguments of its own may not survive the way.
        raise (
            type(error)(str(error)) if type(error).__init__ is TosmoothError.__init__ else StudyError(str(error))
        ) from None
    finally:
        progress.send(running=False)


def _do(context: Context, job: Job) -> None:
    if job.stage == "precision":
        settle_precision(context)
        return
    teaching = StudyTeaching(context)
    teachers = [teacher for teacher in context.plan.teachers if teacher.name in job.names]
    if job.stage == "teacher":
        train_teachers(context, teachers)
    elif job.stage == "logits":
        teaching.of(teachers)
    elif job.stage == "sequences":
        from tosmooth.study.sequence_level import translated_training  # studies of images need none of it

        for teacher in teachers:
            translated_training(context, teacher)
    else:
        train_students(context, [cell for cell in context.plan.students if cell.name in job.names], teaching)
