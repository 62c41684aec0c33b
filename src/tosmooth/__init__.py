"""To smooth or not to smooth a teacher network? Evidence on your own data, and the best student.

The pieces as plain PyTorch: the distillation loss, the penultimate features of any model, class centroids, the
diffusion index and the projection. The whole study: `load_config`, `run_study`, `load_study`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tosmooth.analysis.centroids import ClassCentroids
    from tosmooth.analysis.compactness import within_class_compactness
    from tosmooth.analysis.diffusion import diffusion_index
    from tosmooth.analysis.information import mutual_information
    from tosmooth.analysis.label_smoothing import estimate_label_smoothing
    from tosmooth.analysis.projection import PenultimateProjection
    from tosmooth.analysis.similarity import similar_classes
    from tosmooth.analysis.smoothness import smoothness
    from tosmooth.analysis.stability import stability
    from tosmooth.export.export import export_model
    from tosmooth.folder.results import load_study
    from tosmooth.losses.distillation import DistillationLoss, distillation_loss
    from tosmooth.losses.fused_linear import fused_linear_distillation
    from tosmooth.models.features import PenultimateFeatures
    from tosmooth.recipes.reading import load_config
    from tosmooth.study.run import run_study

# Loaded on first use: `import tosmooth` for one loss does not pay for timm, pandas and the report.
_HOME = {
    "ClassCentroids": "tosmooth.analysis.centroids",
    "DistillationLoss": "tosmooth.losses.distillation",
    "PenultimateFeatures": "tosmooth.models.features",
    "PenultimateProjection": "tosmooth.analysis.projection",
    "diffusion_index": "tosmooth.analysis.diffusion",
    "distillation_loss": "tosmooth.losses.distillation",
    "estimate_label_smoothing": "tosmooth.analysis.label_smoothing",
    "export_model": "tosmooth.export.export",
    "fused_linear_distillation": "tosmooth.losses.fused_linear",
    "load_config": "tosmooth.recipes.reading",
    "load_study": "tosmooth.folder.results",
    "mutual_information": "tosmooth.analysis.information",
    "run_study": "tosmooth.study.run",
    "similar_classes": "tosmooth.analysis.similarity",
    "smoothness": "tosmooth.analysis.smoothness",
    "stability": "tosmooth.analysis.stability",
    "within_class_compactness": "tosmooth.analysis.compactness",
}

__version__ = "0.1.0"
__all__ = [
    "ClassCentroids",
    "DistillationLoss",
    "PenultimateFeatures",
    "PenultimateProjection",
    "diffusion_index",
    "distillation_loss",
    "estimate_label_smoothing",
    "export_model",
    "fused_linear_distillation",
    "load_config",
    "load_study",
    "mutual_information",
    "run_study",
    "similar_classes",
    "smoothness",
    "stability",
    "within_class_compactness",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'tosmooth' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
