"""What `tosmooth distill` was asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tosmooth.audit.images import is_said, size_is_open
from tosmooth.config.schema import ModelConfig
from tosmooth.data.teacher_outputs import SUFFIX


@dataclass(frozen=True)
class Call:
    """The arguments.

    Attributes:
        teacher: a published model's name, a file of weights, or files of outputs (comma-separated); None: the recipe's,
            where the recipe has the rest, too.
        student: a model's name; None: the recipe's.
        source: recipe or YAML file that fills in the rest; None: `own-images`, or `own-images-scratch` for a student
            that starts from nothing, or the default recipe for a call that has neither models nor data of its own.
        overrides: `key=value` texts.
        data: a data source, or a folder of images; None: the recipe's.
        path: root folder of that source.
        teacher_model: architecture of a teacher that is a file; None: the recipe's.
        temperatures: as told; None: by the audit's advice, or T = 1 with a recipe's own models.
        alphas: label smoothing of the teacher as far as known, or to train with; None: not told.
        class_map: file that says which of the teacher's classes is which of the data's.
        fine_tune: whether to train the teacher on the data first; None: where its classes are others.
        from_scratch: the student does not start from published weights.
        seed: of the student.
        formats: of the export, as `tosmooth.export_model` takes them; None: the first that the task's models can have,
            which is safetensors.
        ema: take the averaged weights of a teacher's file that has plain ones, too.
        image_size: side of the images that the teacher is shown, in pixels; None: as its weights say, or as it is right
            on most of them.
        unlabelled: a folder of further images without labels, to which the student learns the teacher's answers.
        yes: go on with a teacher that is right on few of the training images.
        name: of the study's folder; None: made from data, teacher and student, or from the recipe's.
        mistakes: that were found in the arguments already.
    """

    teacher: str | None = None
    student: str | None = None
    source: str | None = None
    overrides: Sequence[str] = ()
    data: str | None = None
    path: Path | None = None
    teacher_model: str | None = None
    temperatures: tuple[float, ...] | None = None
    alphas: tuple[float, ...] | None = None
    class_map: Path | None = None
    fine_tune: bool | None = None
    from_scratch: bool = False
    seed: int = 0
    formats: Sequence[str] | None = None
    ema: bool = False
    image_size: int | None = None
    unlabelled: Path | None = None
    yes: bool = False
    name: str | None = None
    mistakes: tuple[str, ...] = ()

    @property
    def weights(self) -> Path | None:
        """The file that the teacher is; None for a published model."""
        path = None if self.teacher is None or self.outputs else Path(self.teacher).expanduser()
        return path if path is not None and path.is_file() else None

    @property
    def outputs(self) -> tuple[Path, ...]:
        """The files of outputs that are all that is known of the teacher; none where it is a model."""
        whole = Path(self.teacher or "").expanduser()
        if whole.is_file():  # whose name may have commas
            return (whole,) if whole.suffix.lower() == SUFFIX else ()
        paths = tuple(Path(part.strip()).expanduser() for part in (self.teacher or "").split(","))
        return paths if all(path.suffix.lower() == SUFFIX for path in paths) else ()

    @property
    def of_recipe(self) -> bool:
        """Whether data and models are a recipe's, so that the recipe says what the teacher is and which T it meets.

        The teacher may be a file of weights of the recipe's model.
        """
        own = self.student, self.data, self.path, self.teacher_model, self.class_map, self.fine_tune
        published = self.teacher is not None and not (self.weights or self.outputs) and ":" in self.teacher
        return not (published or self.from_scratch or any(value is not None for value in own))

    @property
    def sets_image_size(self) -> bool:
        """Whether the images' size is for the models to say."""
        return self.source is None and size_is_open(None, self.overrides)

    @property
    def sets_length(self) -> bool:
        """Whether the student's epochs are for the number of images to say."""
        return self.source is None and not is_said("student.epochs", self.overrides)

    def teacher_name(self, section: ModelConfig) -> str:
        """How messages call the teacher.

        Args:
            section: the teacher's model.
        """
        return str(self.teacher) if self.weights or self.outputs else section.name


def numbers(
    text: str, option: str, mistakes: list[str], *, below: float = math.inf, zero: bool = False
) -> tuple[float, ...]:
    """A comma-separated list of distinct numbers above 0 (or from 0), as typed on a command line."""
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    fitting = [value for value in values if (value >= 0 if zero else value > 0) and value < below]
    if not values or len(set(fitting)) != len(values):
        least = "from 0" if zero else "above 0"
        most = f" and below {below:g}" if math.isfinite(below) else ""
        mistakes.append(f"{option}: {text[:80]!r}, must be different numbers {least}{most}, comma-separated")
    return values
