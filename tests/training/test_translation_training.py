"""The losses of sentence batches against one token at a time; fused and plain; groups and single students."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.tasks.sentences import raw_study, write_pairs
from tosmooth.data.batches import Batch
from tosmooth.data.translation.batches import TokenBatches
from tosmooth.data.translation.data import TranslationData
from tosmooth.data.translation.split import TokenSplit
from tosmooth.data.views import EachView, StoredViews
from tosmooth.models.translation import TranslationModel, build_translation_model
from tosmooth.models.translation_inputs import TokenInputs
from tosmooth.recipes.reading import load_config
from tosmooth.study.bench import load_data
from tosmooth.training.compute import Compute
from tosmooth.training.evaluation import features_of_classes
from tosmooth.training.forward import Answer, Hidden, SharedInputs
from tosmooth.training.loop import train_group
from tosmooth.training.loss_functions import LossFunction, distillation_from, label_smoothing_loss
from tosmooth.training.teacher_cache import CachedTeacher, Stamp, TeacherCache, weights_digest
from tosmooth.training.teaching import CachedTeachers, LiveTeachers, Teaching, fill
from tosmooth.training.trainee import Trainee

WIDTHS = {
    "d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48,
    "encoder_attention_heads": 2, "decoder_attention_heads": 2,
}  # fmt: skip
CELLS = [("plain", 1.0), ("plain", 4.0), ("smoothed", 1.0), ("smoothed", 64.0)]
STUDENTS = [
    {},
    {"hard_weight": 0.3, "label_smoothing": 0.1},
    {"topk": 4, "hard_weight": 0.3, "label_smoothing": 0.1},
    {"topk": 4},
    {"objective": "teacher_only"},
]  # settings of distillation_from


def named(settings: Mapping[str, Any]) -> str:
    return "-".join(f"{key}={value}" for key, value in settings.items()) or "dense"


class Sentences(NamedTuple):
    """A few real pairs of unlike length, a student and two teachers for their vocabulary."""

    data: TranslationData
    student: TranslationModel
    teachers: Mapping[str, TranslationModel]
    compute: Compute


def new_model(data: TranslationData, seed: int, **kwargs: float) -> TranslationModel:
    return build_translation_model(
        "transformer_small", data.vocabulary, max_length=128, kwargs=WIDTHS | kwargs, seed=seed
    )


@pytest.fixture(scope="module")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> Sentences:
    path = write_pairs(tmp_path_factory.mktemp("pairs") / "pairs.tsv", train=60, longest=14)
    raw = raw_study(data={"source": "tsv", "path": str(path), "limit_train": None, "text": {"vocabulary": 420}})
    raw["compute"]["teacher_precision"] = "float32"  # where the hardware has bfloat16, teachers would round to it
    config = load_config(raw)
    data = load_data(config)
    assert isinstance(data, TranslationData)
    # Sharper than at the beginning of a training, so that temperatures and the choice of the top k matter.
    teachers = {"plain": new_model(data, 1, d_model=48, init_std=0.4), "smoothed": new_model(data, 2, init_std=0.3)}
    return Sentences(data, new_model(data, 0), teachers, Compute.from_config(config.compute))


@pytest.fixture(scope="module")
def batch(sentences: Sentences) -> Batch:
    """Real pairs in one batch, with padding on both sides."""
    batches = TokenBatches(sentences.data.train, batch_size=150, seed=5, shuffle=True)
    found = next(found for found in batches.epoch(0) if len(padding_of(found.inputs)) == 2)
    assert len(found.labels) > 20
    return found


def padding_of(inputs: Any) -> set[str]:
    """The sides that are padded."""
    whole = {
        "source": bool(inputs.source_mask.all()),
        "target": len(inputs.positions) == inputs.decoder_inputs.numel(),
    }
    return {side for side, all_real in whole.items() if not all_real}


def token_logits(model: TranslationModel, data: TranslationData, indices: Tensor) -> Iterator[tuple[int, Tensor]]:
    """The label and the logits (K,) of tokens of the training split, each sentence by itself: nothing is padded."""
    split = data.train
    for pair in sorted({split.pair_of(int(index)) for index in indices}):
        source = torch.from_numpy(split.source_ids[pair])[None]
        target = split.target_ids[pair].tolist()
        decoder = torch.tensor([[data.vocabulary.start, *target[:-1]]])
        everything = torch.arange(decoder.numel())
        yield from zip(
            target,
            model(TokenInputs(source, torch.ones_like(source, dtype=torch.bool), decoder, everything)),
            strict=True,
        )


def softened(logits: Tensor, temperature: float) -> NDArray[np.float64]:
    """Softmax of one row (K,)."""
    scaled = logits.double().numpy() / temperature
    exponentials: NDArray[np.float64] = np.exp(scaled - scaled.max())
    return exponentials / exponentials.sum()


def smoothed_cross_entropy(logits: Tensor, label: int, alpha: float) -> float:
    """−Σ_k y_k ln p_k with y = (1 − α) · one-hot + α / K."""
    log_p = np.log(softened(logits, 1.0))
    return float(-(1 - alpha) * log_p[label] - alpha * log_p.mean())


def distillation(
    student: Tensor, teacher: Tensor, temperature: float, settings: Mapping[str, Any], label: int
) -> float:
    """(1 − w) · T² · KL(teacher ‖ student) + w · CE, of one token."""
    only_teacher = settings.get("objective") == "teacher_only"
    q = softened(student, 1.0 if only_teacher else temperature)
    p = softened(teacher, temperature)
    if (k := settings.get("topk")) is not None:
        p[np.argsort(-p)[k:]] = 0
        p /= p.sum()
    kept = p > 0
    soft = float((p[kept] * np.log(p[kept] / q[kept])).sum())
    weight = settings.get("hard_weight", 0.0)
    hard = smoothed_cross_entropy(student, label, settings.get("label_smoothing", 0.0)) if weight else 0.0
    return (1 - weight) * soft * (1.0 if only_teacher else temperature**2) + weight * hard


def loss_of(name: str, temperature: float, settings: Mapping[str, Any]) -> LossFunction:
    options = {"objective": "hinton", "hard_weight": 0.0} | dict(settings)
    return distillation_from(name, temperature, **options)


@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_a_teachers_loss_is_the_mean_over_tokens_alone(sentences: Sentences, batch: Batch, alpha: float):
    model = sentences.student.eval()
    with torch.no_grad():
        found = label_smoothing_loss(alpha)(model(batch.inputs), batch.labels, {})
        alone = list(token_logits(model, sentences.data, batch.indices))
    assert sorted(label for label, _ in alone) == sorted(batch.labels.tolist())
    expected = math.fsum(smoothed_cross_entropy(logits, label, alpha) for label, logits in alone) / len(alone)
    assert found.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("settings", STUDENTS, ids=named)
def test_a_students_loss_is_the_mean_over_tokens_alone(
    sentences: Sentences, batch: Batch, settings: Mapping[str, Any], temperature: float
):
    """T² included: without it, the loss at T = 4 would be 16 times smaller."""
    model, teacher = sentences.student.eval(), sentences.teachers["plain"].eval()
    answers = LiveTeachers(sentences.teachers, sentences.compute).answers(batch, SharedInputs(batch.inputs))
    with torch.no_grad():
        found = loss_of("plain", temperature, settings)(model(batch.inputs), batch.labels, answers)
        own, taught = (list(token_logits(it, sentences.data, batch.indices)) for it in (model, teacher))
    each = [
        distillation(logits, taught_logits, temperature, settings, label)
        for (label, logits), (_, taught_logits) in zip(own, taught, strict=True)
    ]
    assert found.item() == pytest.approx(math.fsum(each) / len(each), rel=1e-4)


def test_the_loss_of_an_epoch_is_the_same_however_its_pairs_are_put_together(sentences: Sentences):
    """The sum over all training tokens: other sizes, other seeds, other epochs, and in order."""
    model = sentences.student.eval()
    losses = {"teacher": label_smoothing_loss(0.1), "student": loss_of("smoothed", 4.0, STUDENTS[2])}
    teaching = LiveTeachers(sentences.teachers, sentences.compute)
    split = sentences.data.train
    ways = [(80, 0, 0, True), (400, 0, 0, True), (400, 7, 0, True), (400, 0, 3, True), (100_000, 1, 0, True)]
    sums: dict[str, list[float]] = {name: [] for name in losses}
    sizes = set()
    for size, seed, epoch, shuffle in [*ways, (77, 0, 0, False)]:
        batches = TokenBatches(split, batch_size=size, seed=seed, shuffle=shuffle)
        sizes.add(len(batches))
        found = dict.fromkeys(losses, 0.0)
        with torch.no_grad():
            for part in batches.epoch(epoch):
                logits, answers = model(part.inputs), teaching.answers(part, SharedInputs(part.inputs))
                for name, loss in losses.items():
                    found[name] += loss(logits, part.labels, answers).double().item() * len(part.labels)
        for name, value in found.items():
            sums[name].append(value)
    assert len(sizes) > 3
    for name, values in sums.items():
        assert values == pytest.approx([values[0]] * len(values), rel=1e-5), name


def cached(sentences: Sentences, folder: Path, content: str) -> dict[str, CachedTeacher]:
    """The teachers' stored logits, or their features with the last layer, filled by the engine."""
    found = {}
    for name, model in sentences.teachers.items():
        width = model.num_classes if content == "logits" else model.last_layer.in_features
        stamp = Stamp(
            model=name, teacher=weights_digest(model), data=sentences.data.train.digest(), augmentation="none",
            transforms="outcomes", image_size=None, views=1, view_seed=0, samples=len(sentences.data.train),
            content=content, width=width, precision="float32",
        )  # fmt: skip
        cache = TeacherCache(folder / content / name, stamp, batch_size=100)
        batches = TokenBatches(sentences.data.train, batch_size=100, views=EachView(1, 0))
        fill(cache, model, batches, sentences.compute)
        found[name] = CachedTeacher(cache, None if content == "logits" else model.last_layer)
    return found


def stored_batch(sentences: Sentences, batch: Batch) -> Batch:
    return batch._replace(views=torch.zeros_like(batch.indices))


def value_and_gradients(model: TranslationModel, loss: Tensor) -> tuple[float, dict[str, Tensor]]:
    model.zero_grad()
    loss.backward()
    return loss.item(), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("where", ["live", "cached"])
@pytest.mark.parametrize("settings", [*STUDENTS, {"objective": "dkd"}], ids=named)
def test_the_fused_loss_is_the_plain_one(
    sentences: Sentences, batch: Batch, tmp_path: Path, settings: Mapping[str, Any], where: str
):
    model, loss = sentences.student.eval(), loss_of("plain", 4.0, settings)
    stored = stored_batch(sentences, batch)
    teachings: dict[bool, Teaching] = {}
    for fused in (False, True):
        if where == "live":
            teachings[fused] = LiveTeachers(sentences.teachers, sentences.compute, fused=fused)
        else:
            teachings[fused] = CachedTeachers(cached(sentences, tmp_path, "features"), fused=fused)
    plain_answers, fused_answers = (
        teachings[fused].answers(stored, SharedInputs(stored.inputs)) for fused in (False, True)
    )
    assert isinstance(plain_answers["plain"], Tensor)
    assert isinstance(fused_answers["plain"], Hidden)
    plain, gradients = value_and_gradients(model, loss(model(batch.inputs), batch.labels, plain_answers))
    hidden: Answer = Hidden(model.hidden(batch.inputs), model.last_layer)
    value, own = value_and_gradients(model, loss(hidden, batch.labels, fused_answers))
    assert value == pytest.approx(plain, rel=1e-5)
    assert own.keys() == gradients.keys()
    assert any(gradient.abs().max() > 1e-3 for gradient in gradients.values())
    for name, gradient in gradients.items():
        torch.testing.assert_close(own[name], gradient, rtol=1e-3, atol=1e-5 * float(gradient.abs().max()) + 1e-7)


@pytest.mark.parametrize("content", ["logits", "features"])
def test_stored_answers_are_the_live_ones_token_by_token(
    sentences: Sentences, batch: Batch, tmp_path: Path, content: str
):
    stored = stored_batch(sentences, batch)
    live = LiveTeachers(sentences.teachers, sentences.compute).answers(stored, SharedInputs(stored.inputs))
    found = CachedTeachers(cached(sentences, tmp_path, content)).answers(stored, SharedInputs(stored.inputs))
    for name, logits in live.items():
        own = found[name]
        assert isinstance(own, Tensor)
        assert isinstance(logits, Tensor)
        # Rows are stored in half precision.
        torch.testing.assert_close(own, logits, rtol=5e-3, atol=5e-3 * float(logits.abs().max()))
        assert not torch.allclose(own, logits.roll(1, 0), rtol=5e-2, atol=5e-2 * float(logits.abs().max()))


def test_a_student_with_the_fused_loss_learns_from_stored_logits_too(
    sentences: Sentences, batch: Batch, tmp_path: Path
):
    """Logits are stored where the vocabulary is no wider than the features: the student's are then made as well."""
    stored, model = stored_batch(sentences, batch), sentences.student.eval()
    teaching = CachedTeachers(cached(sentences, tmp_path, "logits"), fused=True)
    answers, loss = teaching.answers(stored, SharedInputs(stored.inputs)), loss_of("plain", 4.0, STUDENTS[1])
    plain, gradients = value_and_gradients(model, loss(model(batch.inputs), batch.labels, answers))
    hidden = Hidden(model.hidden(batch.inputs), model.last_layer)
    value, own = value_and_gradients(model, loss(hidden, batch.labels, answers))
    assert value == pytest.approx(plain, rel=1e-6)
    torch.testing.assert_close(own, gradients)


def test_words_that_do_not_occur_have_features_all_the_same(sentences: Sentences):
    """None, that is: a word that is frequent in training may be in no sentence of a small validation split."""
    data, model = sentences.data, sentences.student
    few = TokenSplit(data.train.texts.select(np.arange(12)), data.vocabulary, "few")
    there = torch.isin(data.class_outputs, few.labels)
    assert there.any()
    assert not there.all()
    for word, occurs in enumerate(there.tolist()):
        batches = TokenBatches(few, batch_size=20)
        found, labels = features_of_classes(model, batches, sentences.compute, [word], None, data.class_outputs)
        assert found.shape == (len(labels), model.last_layer.in_features)
        assert len(labels) == int((few.labels == data.class_outputs[word]).sum())
        assert bool(len(labels)) == occurs


# Teacher probabilities (1/2, 3/10, 1/5) at the temperature, student uniform over three outputs.
SHARES = torch.tensor([[0.5, 0.3, 0.2]])
DENSE = 0.5 * math.log(1.5) + 0.3 * math.log(0.9) + 0.2 * math.log(0.6)
TOP_2 = 0.625 * math.log(1.875) + 0.375 * math.log(1.125)  # 5/8 and 3/8 of the two that are kept


@pytest.mark.parametrize("temperature", [1.0, 3.0])
@pytest.mark.parametrize(("topk", "divergence"), [(None, DENSE), (3, DENSE), (2, TOP_2), (1, math.log(3))])
def test_targets_by_hand(temperature: float, topk: int | None, divergence: float):
    teacher = temperature * SHARES.log()
    student = torch.zeros(1, 3, requires_grad=True)
    answers = {"it": teacher}
    loss = distillation_from("it", temperature, "hinton", 0.0, topk=topk)(student, torch.tensor([1]), answers)
    assert loss.item() == pytest.approx(temperature**2 * divergence, rel=1e-5)
    # T² · (1/T) · (student − target): the target itself, by hand.
    (gradient,) = torch.autograd.grad(loss, student)
    target = {None: [0.5, 0.3, 0.2], 3: [0.5, 0.3, 0.2], 2: [0.625, 0.375, 0.0], 1: [1.0, 0.0, 0.0]}[topk]
    expected = [temperature * (1 / 3 - share) for share in target]
    assert gradient[0].tolist() == pytest.approx(expected, abs=1e-5)


def test_hard_labels_by_hand():
    """w = 1/4, α = 3/10, T = 1; with student logits (0, 0, ln 2), q = (1/4, 1/4, 1/2)."""
    student, q = torch.tensor([[0.0, 0.0, math.log(2)]]), (0.25, 0.25, 0.5)
    loss = distillation_from("it", 1.0, "hinton", 0.25, label_smoothing=0.3)(
        student, torch.tensor([2]), {"it": SHARES.log()}
    )
    soft = 0.5 * math.log(0.5 / q[0]) + 0.3 * math.log(0.3 / q[1]) + 0.2 * math.log(0.2 / q[2])
    hard = -(0.1 * math.log(q[0]) + 0.1 * math.log(q[1]) + 0.8 * math.log(q[2]))
    assert loss.item() == pytest.approx(0.75 * soft + 0.25 * hard, rel=1e-6)


def train(
    cells: list[tuple[str, float]], sentences: Sentences, folder: Path, *, fused: bool, stored: Path | None = None
) -> dict[str, dict[str, Tensor]]:
    raw = raw_study(student={"epochs": 2, "batch_size": 150})
    config = load_config(raw).student
    data, compute = sentences.data, sentences.compute
    batches = TokenBatches(
        data.train, batch_size=150, seed=3, shuffle=True, views=None if stored is None else StoredViews(1, 0, 3)
    )
    teaching: Teaching = LiveTeachers(sentences.teachers, compute, fused=fused)
    if stored is not None:
        teaching = CachedTeachers(cached(sentences, stored, "features"), fused=fused)
    group = [
        Trainee(
            name=f"{teacher}-{temperature:g}",
            model=new_model(data, 3, dropout=0.2),
            loss_function=loss_of(teacher, temperature, {}),
            config=config,
            compute=compute,
            seed=3,
            steps_per_epoch=len(batches),
            folder=folder / f"{teacher}-{temperature:g}",
            select_by=None,
            fused=fused,
        )
        for teacher, temperature in cells
    ]
    train_group(group, batches, compute=compute, teaching=teaching)
    return {trainee.name: trainee.model.state_dict() for trainee in group}


@pytest.mark.parametrize(
    ("fused", "stored"),
    [(False, False), *(pytest.param(*two, marks=pytest.mark.slow) for two in ((True, False), (False, True)))],
)
def test_group_equals_solo_bit_for_bit(sentences: Sentences, tmp_path: Path, fused: bool, stored: bool):
    """With dropout, live teachers and stored ones."""
    caches = tmp_path / "caches" if stored else None
    together = train(CELLS, sentences, tmp_path / "together", fused=fused, stored=caches)
    for cell in CELLS if not (fused or stored) else CELLS[2:3]:
        torch.rand(5)  # what the outside world draws must not matter
        (name, alone), *_ = train([cell], sentences, tmp_path / "alone", fused=fused, stored=caches).items()
        different = [key for key, value in alone.items() if not torch.equal(value, together[name][key])]
        assert not different, name
    weights = [state["backbone.model.shared.weight"] for state in together.values()]
    assert all(not torch.equal(one, other) for i, one in enumerate(weights) for other in weights[i + 1 :])


def test_dropout_is_drawn_anew_in_every_step_and_from_the_students_own_seed(sentences: Sentences, tmp_path: Path):
    """What the bit-for-bit test could not see if no mask were drawn at all."""
    states = {}
    for seed in (3, 4):
        config = load_config(raw_study(student={"epochs": 1, "batch_size": 150})).student
        batches = TokenBatches(sentences.data.train, batch_size=150, seed=3, shuffle=True)
        model = new_model(sentences.data, 3, dropout=0.2)
        trainee = Trainee(
            "it", model, label_smoothing_loss(0.0), config, sentences.compute, seed, len(batches), tmp_path, None
        )
        train_group([trainee], batches, compute=sentences.compute)
        states[seed] = model.state_dict()["backbone.model.shared.weight"].clone()
    assert not torch.equal(states[3], states[4])


def test_the_slices_of_two_processes_weighted_by_tokens_are_the_whole_loss(sentences: Sentences):
    model, loss = sentences.student.eval(), label_smoothing_loss(0.1)

    def batches(process: tuple[int, int]) -> Iterator[Batch]:
        return TokenBatches(sentences.data.train, batch_size=150, seed=2, shuffle=True, process=process).epoch(0)

    with torch.no_grad():
        for whole, *parts in zip(batches((0, 1)), batches((0, 2)), batches((1, 2)), strict=True):
            total = sum(part.counted for part in parts)
            assert total == len(whole.labels) == parts[0].total
            own = [loss(model(part.inputs), part.labels, {}).item() * part.counted for part in parts if part.counted]
            assert math.fsum(own) / total == pytest.approx(loss(model(whole.inputs), whole.labels, {}).item(), rel=1e-5)
