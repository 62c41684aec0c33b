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
    from tosmooth.analysis.crossed import crossed_variance, image_variances
    from tosmooth.analysis.diffusion import diffusion_index
    from tosmooth.analysis.information import mutual_information
    from tosmooth.analysis.label_smoothing import estimate_label_smoothing
    from tosmooth.analysis.more_blocks import seeds_needed, spent_confidence
    from tosmooth.analysis.multiple_comparison import compare_settings
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
    "compare_settings": "tosmooth.analysis.multiple_comparison",
    "crossed_variance": "tosmooth.analysis.crossed",
    "diffusion_index": "tosmooth.analysis.diffusion",
    "distillation_loss": "tosmooth.losses.distillation",
    "estimate_label_smoothing": "tosmooth.analysis.label_smoothing",
    "export_model": "tosmooth.export.export",
    "fused_linear_distillation": "tosmooth.losses.fused_linear",
    "image_variances": "tosmooth.analysis.crossed",
    "load_config": "tosmooth.recipes.reading",
    "load_study": "tosmooth.folder.results",
    "mutual_information": "tosmooth.analysis.information",
    "run_study": "tosmooth.study.run",
    "seeds_needed": "tosmooth.analysis.more_blocks",
    "similar_classes": "tosmooth.analysis.similarity",
    "smoothness": "tosmooth.analysis.smoothness",
    "spent_confidence": "tosmooth.analysis.more_blocks",
    "stability": "tosmooth.analysis.stability",
    "within_class_compactness": "tosmooth.analysis.compactness",
}

__version__ = "0.1.0"
__all__ = [
    "ClassCentroids",
    "DistillationLoss",
    "PenultimateFeatures",
    "PenultimateProjection",
    "compare_settings",
    "crossed_variance",
    "diffusion_index",
    "distillation_loss",
    "estimate_label_smoothing",
    "export_model",
    "fused_linear_distillation",
    "image_variances",
    "load_config",
    "load_study",
    "mutual_information",
    "run_study",
    "seeds_needed",
    "similar_classes",
    "smoothness",
    "spent_confidence",
    "stability",
    "within_class_compactness",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'tosmooth' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
