"""Where everything of a study lies. Each name of a file or folder stands here, and nowhere else in the code.

docs/study-folder.md says what each file holds, who writes it, who reads it, and what happens without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

# Of the study's folder.
CONFIG_FILE = "study.yaml"  # the resolved configuration
ENVIRONMENT_FILE = "environment.json"  # versions, hardware, times
RESULTS_FILE = "results.csv"  # one row per cell
CONTROLS_FILE = "controls.csv"  # one row per student without a teacher
TEACHERS_FILE = "teachers.csv"  # one row per teacher
UNREADABLE_FILE = "unreadable.csv"  # images that were left out
REPORT_FILE = "report.html"
UNTIL_SURE_FILE = "until-sure.json"  # what was seen while seeds were added, and whose students were
SEARCH_FILE = "search.json"  # what a search decided, and from which scores
SEARCH_TABLE_FILE = "search.csv"  # its scores, one row per rung and candidate
DISTILL_FILE = "distill.json"  # what `distill` decided and measured
SUMS_FILE = "sums.json"  # SHA-256 of the tables beside it; of those of the analysis, too
FIGURES = "figures"
TABLES = "tables"
TEACHERS = "teachers"
STUDENTS = "students"
ANALYSIS = "analysis"
STATE = "state"
TRACKING = "tracking"  # what trackers keep on this machine
EXPORT = "export"  # the student that `distill` kept

# Of the folder of a teacher or a student.
WEIGHTS_FILE = "model.safetensors"  # the kept weights
LAST_WEIGHTS_FILE = "last.safetensors"  # those of the last epoch, where an earlier one may be kept
CURVE_FILE = "metrics.jsonl"  # one line per epoch
RECORD_FILE = "result.json"  # its figures; written last, so that it marks the model as finished
CENTROIDS_FILE = "centroids.safetensors"  # class centroids on training and validation data
FEATURES_FILE = "projection.safetensors"  # penultimate features of the shown classes, kept when a model is measured
JUDGED_FILE = "judged.safetensors"  # what a model took each sample of validation and test for; see `judged`
SEPARATION_FILE = "separation.json"  # d′ of a student's classes to similar and to dissimilar ones
RELIABILITY_FILE = "reliability.json"  # bins of the test split
TRANSLATIONS_FILE = "translations.json"  # by split ("val", "test"): sources, hypotheses and references, one a sentence
VOCABULARY_FOLDER = "vocabulary"  # that the weights of a model of sentences go with
TEACHER_VIEWS_FILE = "views.json"  # what the two older views see in a teacher
AUDIT_FILE = "audit.json"
AUDIT_PAGE_FILE = "audit.html"
AUDIT_SUMMARY_FILE = "audit-summary.json"  # of a teacher that `distill` has fine-tuned, or that is a recipe's

# Of the analysis.
ADVICE_FILE = "advice.json"  # frozen before the test split is read
VERDICT_FILE = "verdict.json"  # what test says of the advice, as facts
_FORMER_ADVICE = "advice-before-change-"  # beginning of the name of advice that a change of the grid has put aside
CHANGES_FILE = "changes.json"  # how the grid was changed since the study was begun
DIFFUSION_FILE = "diffusion.csv"  # η per cell
DIFFUSION_CLASSES_FILE = "diffusion_classes.csv"  # η per class
DIFFUSION_SUMMARY_FILE = "diffusion_summary.csv"  # η over seeds, with intervals
SIMILARITY_FILE = "similarity.json"  # S1 and S2 by class
SIMILAR_CLASSES_FILE = "similar_classes.csv"  # the same by name, one row per class and source
PROJECTION_FILE = "projection.csv"  # points and centroids of the projection
PROJECTION_INFO_FILE = "projection.json"  # which classes, and which plane
CALIBRATION_FILE = "calibration.csv"  # reliability bins of all models
VIEWS_FILE = "views.csv"  # teachers and students in the three views on smoothing, one row each
VIEWS_INFO_FILE = "views.json"  # what they say of teachers, and how mutual information was measured
INHERITANCE_FILE = "inheritance.csv"  # calibration error of students beside their teachers'
LEARNING_RATES_FILE = "learning_rates.csv"  # the first seeds' students at every learning rate
OBJECTIVES_FILE = "objectives.csv"  # other objectives against the reference
OBJECTIVES_INFO_FILE = "objectives.json"  # the verdict on each

# Of what a resume needs.
DATA_FILE = "data.json"  # the fingerprint of the data
PRECISION_FILE = "precision.json"  # which precision was measured to be faster, model by model
REPORT_SUMS_FILE = "report-sums.json"  # SHA-256 of the report, its figures and its tables
LOCK_FILE = "lock"
OWNER_FILE = "owner.json"  # who holds the lock
TRACKING_FILE = "tracking.json"  # what trackers were told
CHECKPOINTS = "checkpoints"  # of models in training
WORKERS = "workers"  # locks of Ray's jobs
TOLD = "told-"  # beginning of the name of a note that a run of several processes has said why it ended
GIVEN = "given"  # a folder for each teacher that `distill` was given
GIVEN_WEIGHTS_FILE = "teacher.safetensors"
GIVEN_NOTE_FILE = "teacher.json"  # what was asked, and what its audit found
CLASS_MAP_FILE = "class-map.yaml"  # the class map that `distill` suggests


@dataclass(frozen=True)
class StudyDirectory:
    """The paths of one study."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / CONFIG_FILE

    @property
    def environment(self) -> Path:
        """Versions and hardware, and the time taken."""
        return self.path / ENVIRONMENT_FILE

    @property
    def results(self) -> Path:
        """One row per cell."""
        return self.path / RESULTS_FILE

    @property
    def teacher_results(self) -> Path:
        """One row per teacher."""
        return self.path / TEACHERS_FILE

    @property
    def control_results(self) -> Path:
        """One row per student without a teacher."""
        return self.path / CONTROLS_FILE

    @property
    def unreadable(self) -> Path:
        """The images that were left out."""
        return self.path / UNREADABLE_FILE

    @property
    def report(self) -> Path:
        """The report."""
        return self.path / REPORT_FILE

    @property
    def figures(self) -> Path:
        """Folder of the report's figures."""
        return self.path / FIGURES

    @property
    def analysis(self) -> Path:
        """Folder of the analysis' numbers."""
        return self.path / ANALYSIS

    @property
    def state(self) -> Path:
        """Folder of what a resume needs: the lock, and the checkpoints of models in training."""
        return self.path / STATE

    @property
    def teachers(self) -> Path:
        """Folder of the teachers' folders."""
        return self.path / TEACHERS

    @property
    def students(self) -> Path:
        """Folder of the students' folders."""
        return self.path / STUDENTS

    def teacher(self, name: str) -> Path:
        """Folder of a teacher."""
        return self.teachers / name

    def student(self, name: str) -> Path:
        """Folder of a cell's student."""
        return self.students / name


def epoch_file(epoch: int) -> str:
    """File of a model's weights after an epoch, from 1, until they are averaged."""
    return f"epoch-{epoch:04d}.safetensors"


def former_advice_file(changes: int) -> str:
    """File of the advice that a change of the grid has put aside; changes count from 1."""
    return f"{_FORMER_ADVICE}{changes}.json"


def is_former_advice(name: str) -> bool:
    """Whether a file of this name is one of those: it was written as `advice.json`."""
    return name.startswith(_FORMER_ADVICE)
