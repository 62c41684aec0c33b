"""Within-class compactness: how tight the classes of a model's features are, against how far apart they lie.

    compactness = Σ_c Σ_i ‖x_ic − μ_c‖² / Σ_c n_c ‖μ_c − μ‖²

the trace of the within-class scatter matrix over that of the between-class one (Fisher's, as in discriminant
analysis), μ the mean of all samples. Lower is tighter. Label smoothing tightens classes (Müller et al., NeurIPS 2019).
"""

from __future__ import annotations

import math

from tosmooth.analysis.centroids import ClassCentroids


def within_class_compactness(centroids: ClassCentroids) -> float:
    """Within-class over between-class scatter of the features that an accumulator has seen.

    Scaling, rotating or translating all features changes nothing.

    Returns:
        A number of at least 0; infinite where all centroids coincide, NaN where all samples do.

    Raises:
        ValueError: fewer than two classes have samples.
    """
    state = centroids.state_dict()
    counts, means = state["counts"], state["means"]
    if int((counts > 0).sum()) < 2:
        raise ValueError(f"compactness needs samples of at least two classes, got {int((counts > 0).sum())}")
    centre = (counts[:, None] * means).sum(0) / counts.sum()
    within = float(state["squares"].sum())
    between = float((counts * (means - centre).square().sum(1)).sum())
    if between == 0:
        return math.nan if within == 0 else math.inf
    return within / between
