"""Steps with fewer launches: recorded as CUDA graphs (`compute.graphs`), and what might be done in their place."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state

from benchmarks.common import compute_of
from benchmarks.gpu_check.cases import CASES, SMALL, Student
from benchmarks.gpu_check.finding import Findings, float32, in_fixed_order, on_card
from benchmarks.gpu_check.runs import same, trained
from benchmarks.gpu_check.speed import milliseconds
from benchmarks.gpu_check.steps import outlives_nan
from tosmooth.models.image_model import logits_of

STACKED = 8


def recorded(short: bool) -> Findings:
    """A recorded step is the step, bit for bit: in a group, with dropout, a moving average and clipped gradients."""
    compute, found = on_card(graphs="auto"), Findings()
    in_fixed_order()
    said: list[str] = []
    assert compute.graphs is not None
    compute.graphs.note = said.append
    images = 384 if short else 1024
    for name in ("sgd", "adamw"):
        options = {"optimizer": {"name": name, "learning_rate": 0.01}, "gradient_clip": 1.0, "moving_average": 0.9}
        eager, group = (trained([1.0, 8.0], images, c, **options) for c in (float32(), compute))
        found.expect(f"{name}: the same bits, recorded", all(same(eager[t], group[t]) for t in eager))
        alone = trained([8.0], images, compute, **options)
        found.expect(f"{name}: the same bits, recorded in a group and alone", same(group[8.0], alone[8.0]))
    student = Student(SMALL, compute, short=short)
    for _ in range(5):
        student.step()
    found.expect("a batch of NaN moves no weight", outlives_nan(student))
    found.expect(f"steps were recorded{''.join(f': {text}' for text in said)}", not said)
    return found


class Stacked:
    """Students of one architecture as one: each weight of all of them in one tensor, and their steps in one.

    What a step makes of them is what their own steps make, up to rounding. No engine: for the time that it takes.

    Args:
        students: of one case, before their first step.
    """

    def __init__(self, students: list[Student]) -> None:
        first = students[0]
        trainee, compute = first.trainee, first.trainee.compute
        parameters, buffers = stack_module_state([student.trainee.model.backbone for student in students])
        self._parameters: dict[str, Tensor] = parameters
        prepared, config = first.inputs.of(trainee.model), trainee.config.optimizer

        def loss_of(own: dict[str, Tensor], statistics: dict[str, Tensor]) -> Tensor:
            with compute.autocast():
                output = functional_call(trainee.model.backbone, (own, statistics), (prepared,))
            return trainee.loss_function(logits_of(output).float(), first.batch.labels, first.said)

        self._losses = lambda: torch.vmap(loss_of)(parameters, buffers)
        self._optimizer = torch.optim.SGD(
            parameters.values(),
            lr=trainee.learning_rate(0),
            momentum=config.momentum,
            nesterov=config.nesterov,
            weight_decay=config.weight_decay,
            fused=True,
        )

    def step(self) -> None:
        """One step of each, all on the batch of the first, at the learning rate of the first step."""
        self._losses().sum().backward()
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)

    def weights(self, number: int) -> Tensor:
        """All weights of one of them in one row, float64 on the CPU, as `Student.weights`."""
        return torch.cat([value[number].detach().double().cpu().flatten() for value in self._parameters.values()])


def ways(short: bool) -> Findings:
    """Milliseconds of a student's step: eager, recorded, compiled with CUDA graphs by PyTorch, and stacked."""
    found, compute = Findings(), compute_of()
    card = compute.device.type == "cuda"
    warm, number = (10, 50) if card and not short else (1, 1)

    one, own = (
        Stacked([Student(SMALL, float32(), short=short) for _ in range(2)]),
        Student(SMALL, float32(), short=short),
    )
    before = own.weights()
    own.step()
    one.step()
    apart = float((one.weights(1) - own.weights()).norm() / (own.weights() - before).norm())
    found.hold("stacked, apart from a student's own step, of the step", apart, most=0.01)
    stacked = Stacked([Student(SMALL, compute, short=short) for _ in range(STACKED)])
    found.add(f"{SMALL.name}, {STACKED} stacked: ms a student", milliseconds(stacked.step, warm, number)[0] / STACKED)
    if not card:
        return found
    for case in (case for case in CASES if case.side):
        for way in ("off", "auto"):
            student = Student(case, compute_of(graphs=way), short=short)
            found.add(
                f"{case.name}, {'recorded' if way == 'auto' else 'eager'}: ms a step",
                milliseconds(student.step, warm, number)[0],
            )
    student = Student(SMALL, compute, short=short)
    student.trainee.forward = torch.compile(student.trainee.model.classify, mode="reduce-overhead")
    name = f"{SMALL.name}, compiled with reduce-overhead: ms a step"
    try:
        found.add(name, milliseconds(student.step, warm, number)[0])
    except Exception as error:  # no compiler here, or not this model: the times above are worth having
        found.add(name, f"left out: {type(error).__name__}: {' '.join(str(error).split())[:200]}")
    return found
