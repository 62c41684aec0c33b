"""Single steps: against the CPU, against float32, without a wait, and on a batch that is not finite."""

from __future__ import annotations

import torch

from benchmarks.common import compute_of
from benchmarks.gpu_check.cases import CASES, SMALL, Student
from benchmarks.gpu_check.finding import Findings, float32, on_card
from tosmooth.losses.objectives import fused_objectives
from tosmooth.training.forward import SharedInputs


def _apart(one: Student, other: Student, before: torch.Tensor) -> float:
    """How far two students are apart after a step, as a share of the step."""
    return float((one.weights() - other.weights()).norm() / (one.weights() - before).norm())


def against_cpu(short: bool) -> Findings:
    """A step on the card is the step on the CPU, up to rounding."""
    card, found = on_card(), Findings()
    cpu = compute_of(device="cpu", precision="float32", teacher_precision="float32")
    for case in CASES:
        fused = [False] if case.side else [False, True]
        for objective in fused_objectives() if case in (SMALL, CASES[-1]) else ["hinton"]:
            for way in fused:
                students = [Student(case, c, objective=objective, short=True, fused=way) for c in (cpu, card)]
                before = students[0].weights()
                for student in students:
                    student.step()
                name = f"{case.name}, {objective}{', fused' if way else ''}"
                found.hold(f"{name}: apart, of a step", _apart(*students, before), most=0.01)
    return found


def precision(short: bool) -> Findings:
    """What bf16 changes of a loss and of a step."""
    found, full = Findings(), float32()
    half = compute_of(precision="bf16", teacher_precision="bf16")
    for case in CASES[:1] if short else CASES:
        students = [Student(case, compute, short=short) for compute in (full, half)]
        before = students[0].weights()
        for student in students:
            student.step()
        losses = [student.loss() for student in students]
        found.hold(f"{case.name}: loss in bf16, relative difference", abs(losses[1] / losses[0] - 1), most=0.05)
        found.add(f"{case.name}: apart, of a step", _apart(*students, before))
    return found


def waits(short: bool) -> Findings:
    """No step makes the host wait: PyTorch raises where one would."""
    card, found = on_card(), Findings()
    for case in CASES:
        for fused in [False] if case.side else [False, True]:
            student = Student(case, card, short=short, fused=fused)
            student.step()  # the first one loads kernels
            torch.cuda.set_sync_debug_mode("error")
            try:
                student.step()
                said = ""
            except RuntimeError as error:
                said = str(error).splitlines()[0]
            finally:
                torch.cuda.set_sync_debug_mode("default")
            found.expect(f"{case.name}{', fused' if fused else ''}: nothing waits{': ' * bool(said)}{said}", not said)
    return found


def non_finite(short: bool) -> Findings:
    """A batch of NaN moves no weight, then or later, and is told."""
    found, student = Findings(), Student(SMALL, float32(), short=short)
    student.step()
    found.expect("weights stay those of the last good step", outlives_nan(student))
    found.expect("the step is told", bool(student.trainee.stopped))
    return found


def outlives_nan(student: Student) -> bool:
    """Whether a batch of NaN, and a good one after it, leave the weights of a student as they are."""
    good = student.weights()
    wrong = SharedInputs(torch.full_like(student.batch.inputs, torch.nan, dtype=torch.float32))
    student.trainee.step(wrong, student.batch.labels, student.said)
    student.step()
    return torch.equal(student.weights(), good)
