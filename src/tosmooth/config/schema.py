"""The schema of a study: typed, documented, and checked whole before any work starts.

Every section is a small frozen structure. The text beside a field is what `tosmooth recipes show` and the documentation
print, so a field is explained in exactly one place.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, WrapValidator

from tosmooth.config.section import Section
from tosmooth.config.training import MixingConfig, MovingAverageConfig, OptimizerConfig, ScheduleConfig
from tosmooth.config.types import (
    Control,
    ExistingPath,
    Knowledge,
    Positive,
    PositiveNumber,
    Seed,
    Smoothing,
    Temperature,
    Weight,
    as_average_section,
    as_cache_section,
    as_list,
    as_mixing_section,
    as_model_section,
    distinct,
    known_objective,
    nearest_to_one,
    on_off,
    portable,
    views_said,
)
from tosmooth.terminal import shown
from tosmooth.yaml_traps import dump


class DataConfig(Section):
    """Where the images or sentences come from, and how they are split and augmented."""

    source: str = Field("fashion_mnist_sample", description="name of the data source")
    path: ExistingPath | None = Field(None, description="root folder of the data, where the source reads one")
    options: dict[str, Any] = Field(default_factory=dict, description="further options of the source (huggingface)")
    download: bool = Field(False, description="let torchvision download the data set into `path`")
    unlabelled: ExistingPath | None = Field(
        None,
        description="folder of further images without labels, of any depth; students of a teacher learn its answers to "
        "them, and nothing else sees them",
    )
    validation: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="share of training held out for selection, where the source has no split of its own; 0 = none",
    )
    split_seed: Seed = Field(0, description="seed of that split")
    image_size: Positive | None = Field(None, description="side of the square training crop, pixels; null = as stored")
    train_augmentation: str = Field("none", description="training augmentation by name")
    auto_augment: Literal["none", "randaugment", "trivialaugment"] = Field(
        "none",
        description="after the training augmentation: none; randaugment (two random operations of one strength); "
        "trivialaugment (one operation of random strength, its wide range)",
    )
    randaugment_magnitude: Annotated[int, Field(ge=0, le=30)] = Field(9, description="strength (randaugment)")
    random_erasing: Weight = Field(
        0.0, description="probability that a rectangle of a training image, 2 to 33 % of its area, is made black"
    )
    eval_transform: str = Field("none", description="evaluation transform by name")
    in_memory: Annotated[Literal["auto", "on", "off"], BeforeValidator(on_off)] = Field(
        "auto",
        description="auto: images that memory holds stay on the device, augmented a batch at a time; image files are "
        "decoded once, into the cache, where memory holds all of them and training is long; on: also elsewhere; off: "
        "never",
    )
    workers: Annotated[int, Field(ge=0)] = Field(
        0, description="loader processes, for images that are not held in memory; 0 = load in the main process"
    )
    on_error: Literal["raise", "skip"] = Field(
        "raise",
        description="an image that cannot be read: raise stops the study; skip leaves it out, counts and lists it",
    )
    limit_train: Positive | None = Field(
        None, description="use only this many training images (stratified), or sentence pairs"
    )
    limit_test: Positive | None = Field(None, description="use only this many test images (stratified), or pairs")
    limit_validation: Positive | None = Field(
        None, description="the same of validation, where the source has such a split of its own"
    )

    @property
    def full_augmentation(self) -> str:
        """All that happens to a training image, as captions and stored answers call it: `flip + trivialaugment`."""
        strength = f" {self.randaugment_magnitude}" if self.auto_augment == "randaugment" else ""
        further = [f"{self.auto_augment}{strength}"] if self.auto_augment != "none" else []
        further += [f"erasing {self.random_erasing}"] if self.random_erasing else []
        return " + ".join([self.train_augmentation, *further])

    @property
    def augments_further(self) -> bool:
        """Whether anything happens after the training augmentation."""
        return self.full_augmentation != self.train_augmentation


class ModelConfig(Section):
    """A model by name, with its weights."""

    name: str = Field(
        description="resnet8 … resnet110 (CIFAR style), timm:…, torchvision:…, hf:…; of sentences: "
        "transformer_small, transformer_iwslt_de_en, hf:…"
    )
    pretrained: bool = Field(False, description="start from the library's pretrained weights, with a new head")
    checkpoint: ExistingPath | None = Field(None, description="start from this safetensors or PyTorch file")
    replace_head: bool = Field(False, description="drop the checkpoint's last layer when its class count differs")
    ema: bool = Field(False, description="take the averaged weights (EMA) of a checkpoint that has plain ones, too")
    width: PositiveNumber | None = Field(None, description="channel multiplier of the CIFAR ResNets")
    kwargs: dict[str, Any] = Field(default_factory=dict, description="further arguments of the model's constructor")
    last_layer: str | None = Field(None, description="name of the last linear layer, where it is ambiguous")

    @property
    def has_weights(self) -> bool:
        """Whether it starts from weights, published or one's own, and not from nothing."""
        return self.pretrained or self.checkpoint is not None

    def without_weights(self) -> ModelConfig:
        """The same architecture, starting from nothing: for models whose weights are about to be loaded, or counted."""
        return self.model_copy(update={"pretrained": False, "checkpoint": None})

    def of_averages(self, ema: bool) -> ModelConfig:
        """The same, and where `ema` is asked for, the averaged weights of its files."""
        return self.model_copy(update={"ema": self.ema or ema})


ModelSection = Annotated[ModelConfig, BeforeValidator(as_model_section)]


class TrainingConfig(Section):
    """What the training of teachers and of students has in common."""

    model: ModelSection
    epochs: Positive = Field(description="passes over the training split")
    batch_size: Positive = Field(
        128,
        description="images a step, over all processes; of sentences: tokens a step, padding and longer side counted",
    )
    optimizer: OptimizerConfig = Field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = Field(default_factory=ScheduleConfig)
    gradient_clip: PositiveNumber | None = Field(None, description="largest gradient norm; null = off")
    mixing: Annotated[MixingConfig, BeforeValidator(as_mixing_section)] = Field(default_factory=MixingConfig)
    average_last: Positive = Field(
        1, description="keep the mean of the weights after each of the last so many epochs (needs selection: last)"
    )
    moving_average: Annotated[MovingAverageConfig | None, BeforeValidator(as_average_section)] = Field(
        None,
        description="keep the exponential moving average (EMA) of the weights instead of the weights: a decay, such as "
        "0.9998, or {decay: 0.9998, warmup: false}; null = off",
    )


class TeacherConfig(TrainingConfig):
    """The teachers: one per label-smoothing factor and seed, trained together."""

    label_smoothing: Annotated[list[Smoothing], BeforeValidator(as_list), AfterValidator(distinct)] = Field(
        [0.0, 0.1], min_length=1, description="smoothing factors α, each in [0, 1)"
    )
    seeds: Annotated[list[Seed], BeforeValidator(as_list), AfterValidator(distinct)] = Field(
        [0],
        min_length=1,
        description="one teacher per α for each seed; several make the teacher seed the unit of inference, and "
        "`student.pairing` says whose teachers they are. New ones go to the end of the list",
    )
    checkpoints: dict[Smoothing, ExistingPath] = Field(
        default_factory=dict, description="weights a teacher of this α starts from (α: file); with `train: false`, is"
    )
    given: dict[Smoothing, Annotated[list[ExistingPath], BeforeValidator(as_list), Field(min_length=1)]] = Field(
        default_factory=dict,
        description="teachers taken as they are, whatever the others are (α: file; or α: one file per teacher seed, in "
        "the order of `seeds`); the architecture is `model`",
    )
    train: bool = Field(True, description="false: use the checkpoints as they are")
    smoothing: Knowledge = Field(
        "known",
        description="what is known of the `label_smoothing` of given teachers: known; estimated, by an audit; or "
        "unknown, so that α stands for nothing, and advice, report and model card say so",
    )

    outputs: list[Path] = Field(
        default_factory=list,
        description="a teacher known only by its outputs (with `train: false`; of `tosmooth distill`): .npz files of "
        "logits or probabilities by image, of several the average; `model` stands for nothing, then",
    )
    average: Literal["probabilities", "logits"] = Field(
        "probabilities", description="what is averaged where `outputs` are several files"
    )
    outputs_digest: str | None = Field(None, description="SHA-256 that the files of `outputs` must have; null = any")

    @property
    def called(self) -> str:
        """Name of the teacher's model; of the files, where it is known only by its outputs."""
        return ", ".join(path.name for path in self.outputs) or self.model.name

    def is_given(self, alpha: float) -> bool:
        """Whether teachers of this α are taken as they are."""
        return not self.train or alpha in self.given


class StudentConfig(TrainingConfig):
    """The students: the grid of models, temperatures, objectives and seeds."""

    models: list[ModelSection] = Field(
        default_factory=list,
        description="further student models beside `model`, each with all its cells; names must differ",
    )

    temperatures: Annotated[list[Temperature], BeforeValidator(as_list), AfterValidator(distinct)] = Field(
        [1.0, 2.0, 3.0, 64.0], min_length=1, description="distillation temperatures T, each > 0"
    )
    objectives: Annotated[
        list[Annotated[str, AfterValidator(known_objective)]],
        BeforeValidator(as_list),
        AfterValidator(distinct),
    ] = Field(
        ["hinton"],
        min_length=1,
        description="distillation objectives; of sentences also `sequence`: the teacher's translations are the labels, "
        "once for all T",
    )
    seeds: Annotated[list[Seed], BeforeValidator(as_list), AfterValidator(distinct)] = Field(
        [0, 1, 2], min_length=1, description="one group of students per seed"
    )
    pairing: Literal["crossed", "paired"] = Field(
        "crossed",
        description="which teachers students of a seed have, where there are several of `teacher.seeds`: crossed = "
        "those of all; paired = the first seed those of the first teacher seed, the second those of the second, …; "
        "without `teacher.seeds`, teachers have the students' seeds, then",
    )
    learning_rates: Annotated[list[PositiveNumber], BeforeValidator(as_list), AfterValidator(distinct)] = Field(
        [1.0],
        min_length=1,
        description="factors of `optimizer.learning_rate`; of several, each setting of the grid tries all with the "
        "first seeds, and has the best by validation with every seed",
    )
    learning_rate_seeds: Positive = Field(
        2,
        description="how many of the first seeds try all `learning_rates`, under teachers of the first teacher seed "
        "(paired: of their own)",
    )
    controls: Annotated[list[Control], BeforeValidator(as_list), AfterValidator(distinct)] = Field(
        ["cross_entropy"],
        description="students trained without a teacher, one per seed and model, with the weights and batches of the "
        "others: cross_entropy, or {label_smoothing: α}; [] = none",
    )
    objective_options: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="further arguments of an objective, by its name (dkd: {alpha: 1, beta: 8})"
    )
    topk: Positive | None = Field(
        None, description="distil only the teacher's k most likely outputs, renormalised; null = all"
    )
    hard_weight: Annotated[list[Weight], BeforeValidator(as_list), AfterValidator(distinct)] = Field(
        [0.0],
        min_length=1,
        description="weights of the hard-label cross-entropy (paper: 0), each with all its cells. New ones go to the "
        "end of the list",
    )
    label_smoothing: Smoothing = Field(0.0, description="smoothing of those hard labels, the student's own")

    @property
    def all_models(self) -> list[ModelConfig]:
        """`model`, and those of `models`."""
        return [self.model, *self.models]

    @property
    def control_smoothings(self) -> list[float]:
        """The label smoothing of each control's labels; 0 is cross-entropy."""
        return [0.0 if isinstance(control, str) else float(control["label_smoothing"]) for control in self.controls]

    @property
    def peak_rates(self) -> list[float]:
        """The learning rates that settings can have, ascending."""
        return [self.peak_rate(factor) for factor in sorted(self.learning_rates)]

    def peak_rate(self, factor: float) -> float:
        """The learning rate at a factor, as tables and sentences have it: 0.3 · 3 is 0.9."""
        return float(f"{self.optimizer.learning_rate * factor:.12g}")

    @property
    def shared_rate(self) -> float:
        """The factor of the learning rate that settings have until each has its own: 1, or the nearest to it."""
        return nearest_to_one(self.learning_rates)[0]


class AnalysisConfig(Section):
    """How diffusion is measured and how close a tie is."""

    similar: Positive | None = Field(None, description="classes in S1 and in S2; null = min(5, max(1, (K − 1) // 3))")
    similarity: Literal["teacher", "superclasses", "name_endings", "wordnet", "groups"] | None = Field(
        None,
        description="which classes are similar: teacher (its geometry), superclasses (the data set's), name_endings "
        "(last word of the names), wordnet (parent synsets), groups (a file); null = groups or superclasses where one "
        "is given below, else teacher",
    )
    groups: ExistingPath | None = Field(None, description="YAML of similar classes: {group: [class names]}")
    superclasses: bool = Field(False, description="short for similarity: superclasses")
    wordnet: ExistingPath | None = Field(None, description="WordNet 3.0 as a WN-LMF file (similarity: wordnet)")
    dissimilar: Literal["auto", "farthest", "others"] = Field(
        "auto",
        description="S2: farthest (the m farthest by the teacher's geometry, of other groups), others (all classes "
        "outside S1, of other groups); auto = farthest with similarity: teacher, else others",
    )
    projection_classes: Annotated[list[int | str], Field(min_length=3, max_length=3)] | None = Field(
        None,
        description="two similar classes and one that is not, by index or name; null = chosen from the teacher's "
        "geometry",
    )
    margin: PositiveNumber = Field(0.5, description="points of top-1 or BLEU within which two cells may be tied")

    @property
    def similarity_source(self) -> str:
        """The source of S1 by name, the short forms resolved."""
        if self.similarity is not None:
            return self.similarity
        return "groups" if self.groups is not None else "superclasses" if self.superclasses else "teacher"

    @property
    def dissimilar_choice(self) -> str:
        """How S2 is chosen: "farthest" or "others"."""
        if self.dissimilar != "auto":
            return self.dissimilar
        return "farthest" if self.similarity_source == "teacher" else "others"


class CacheConfig(Section):
    """Teacher logits on disk, computed once instead of in every epoch of every seed."""

    views: Annotated[Literal["auto", "off"] | Positive, WrapValidator(views_said)] = Field(
        "auto",
        description="augmented views of each image that the teachers are asked about; auto: all of them where the "
        "augmentation has few (nothing is lost), else off; a number limits what students see; off: teachers run live, "
        "as they do for mixed images",
    )
    pixels: Annotated[Literal["auto", "on", "off"], BeforeValidator(on_off)] = Field(
        "auto",
        description="those views as pixels on disk, which students then read instead of making them; auto: of image "
        "files, where each view is shown often enough and the disk has room; on: of any images that are read one by "
        "one; off: never",
    )
    view_seed: Seed = Field(0, description="seed of the views, apart from the students' seeds")
    directory: Path | None = Field(None, description="folder of all caches; null = `.cache` beside the studies")


class ComputeConfig(Section):
    """Where and in which precision the work is done."""

    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", description="auto: a GPU if there is one, but the CPU on Macs, as no Mac has run the tests yet"
    )
    precision: Literal["auto", "measured", "float32", "bf16"] = Field(
        "auto",
        description="of training; auto: bf16 autocast on a GPU that has it, float32 elsewhere; measured: what some "
        "steps of each model show to be faster here, once a study (state/precision.json); evaluation and centroids "
        "are in float32 always",
    )
    teacher_precision: Literal["auto", "measured", "float32", "bf16"] = Field(
        "auto",
        description="of frozen teachers, which only run forward; auto: measured where `precision` is, bf16 where the "
        "hardware computes in it (CPUs with AVX-512 BF16 included), else as `precision`",
    )
    fold_teachers: bool = Field(
        False,
        description="frozen teachers answer with batch normalisation folded into their convolutions, where they can be "
        "traced: faster, equal in float32 up to 1e-6, in bf16 up to its rounding; measured and saved as they are",
    )
    channels_last: bool = Field(True, description="convolution memory layout")
    compile: Annotated[Literal["auto", "on", "off"], BeforeValidator(on_off)] = Field(
        "auto",
        description="torch.compile, one graph for all models of an architecture; auto: where it was measured to pay, "
        "which is nowhere yet (docs/benchmarks.md)",
    )
    graphs: Annotated[Literal["auto", "off"], BeforeValidator(on_off)] = Field(
        "off",
        description="CUDA graphs: each model's step on a whole batch is recorded once and replayed, which spares small "
        "models most of their launches; auto: on a CUDA card, in one process, where a step can be recorded; off until "
        "a card has run it",
    )
    fused_loss: Annotated[Literal["auto", "on", "off"], BeforeValidator(on_off)] = Field(
        "auto",
        description="of sentences: last layers and distillation loss in one, without ever holding all logits; auto: "
        "where the vocabulary has at least 1,000 tokens and one process works",
    )
    group_size: Positive | None = Field(
        None, description="students trained together; null = all of a seed, or as many as memory holds"
    )
    threads: Positive | None = Field(None, description="CPU threads; null = PyTorch's default")
    checkpoint_minutes: PositiveNumber = Field(
        10, description="minutes between two checkpoints within an epoch; every epoch also ends with one"
    )
    sync_batchnorm: bool = Field(
        False, description="several processes with GPUs: batch normalisation over all of them, not in each by itself"
    )
    timeout_minutes: PositiveNumber = Field(
        30, description="several processes: minutes to wait for one that does not answer"
    )
    eval_batch_size: Positive = Field(500, description="images (or target tokens) a step in evaluation")


class StudyConfig(Section):
    """A whole study, as `study.yaml` holds it. A task with more to say has a schema of its own, made from this one."""

    name: Annotated[str, AfterValidator(portable)] = Field(
        "study", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", description="folder name under `runs/`"
    )
    description: str = Field("", description="one line about the study, printed in the report")
    task: str = Field(
        "image_classification", description="what is learnt: image_classification, translation, or what packages add"
    )
    preview: bool = Field(False, description="mark every page: too short to conclude from")
    selection: Literal["auto", "best", "last", "best_on_test"] = Field(
        "auto",
        description="epoch of the kept weights: best validation top-1 (of sentences: token accuracy), last, or (to "
        "compare with the paper's scripts only) best on test; auto = best where there is a validation split, else last",
    )
    data: DataConfig = Field(default_factory=DataConfig)
    teacher: TeacherConfig
    student: StudentConfig
    analysis: AnalysisConfig = Field(default_factory=AnalysisConfig)
    trackers: Annotated[
        list[Literal["tensorboard", "wandb", "mlflow"]], BeforeValidator(as_list), AfterValidator(distinct)
    ] = Field(
        default_factory=list, description="experiment trackers that are told of every epoch, beside metrics.jsonl"
    )
    cache: Annotated[CacheConfig, BeforeValidator(as_cache_section)] = Field(default_factory=CacheConfig)
    compute: ComputeConfig = Field(default_factory=ComputeConfig)

    @property
    def paired_seeds(self) -> dict[int, int]:
        """The teacher seed of each student seed where they are paired; empty where all meet all."""
        if self.student.pairing == "crossed" or len(self.teacher.seeds) == 1:
            return {}
        return dict(zip(self.student.seeds, self.teacher.seeds, strict=True))

    def kept_epoch(self, *, validated: bool) -> Literal["best", "last", "best_on_test"]:
        """The selection rule with `auto` resolved; `validated`: whether there is a validation split."""
        if self.selection != "auto":
            return self.selection
        averaged = max(self.teacher.average_last, self.student.average_last) > 1  # a mean of epochs is no best one
        return "best" if validated and not averaged else "last"


def sections_of(schema: type[StudyConfig]) -> dict[str, type[Section]]:
    """The sections of a study's schema by name."""
    found = {name: field.annotation for name, field in schema.model_fields.items()}
    return {name: kind for name, kind in found.items() if isinstance(kind, type) and issubclass(kind, Section)}


def explained(config: StudyConfig) -> str:
    """The resolved configuration as YAML, with what each key means as a comment before it."""
    return "\n".join(_explained(config, "")) + "\n"


def _explained(section: BaseModel, indent: str) -> Iterator[str]:
    written = section.model_dump(mode="json")
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        about = field.description or (value.__doc__ or "" if isinstance(value, BaseModel) else "")
        yield from (f"{indent}# {line}" for line in textwrap.wrap(" ".join(about.split()), 110 - len(indent)))
        if isinstance(value, BaseModel):
            yield f"{indent}{name}:"
            yield from _explained(value, f"{indent}  ")
        else:
            text = dump({name: written[name]}, sort_keys=False, allow_unicode=True)
            yield from (f"{indent}{shown(line)}" for line in text.splitlines())


def dump_config(config: StudyConfig) -> str:
    """The resolved configuration as YAML, complete and readable by `load_config`."""
    values = config.model_dump(mode="json")
    text = dump(values, sort_keys=False, allow_unicode=True)
    # Letters stay letters; where a text holds signs that a terminal would obey, all of it is written as escapes.
    return text if shown(text, lines=True) == text else dump(values, sort_keys=False)
