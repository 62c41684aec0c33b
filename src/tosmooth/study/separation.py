"""How far the students' classes stand apart: d′ to similar and to dissimilar classes, one more pass over the split.

On validation, where there is any: on its training samples a network that fits them has little spread left.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

from tosmooth.analysis.exact import host_of
from tosmooth.analysis.separation import ClassSeparation, separation_from
from tosmooth.data.batches import Batches
from tosmooth.errors import StudyError
from tosmooth.folder.paths import SEPARATION_FILE, WEIGHTS_FILE
from tosmooth.folder.writing import load_json, write_json
from tosmooth.study.context import Context
from tosmooth.study.diffusion import find_similarity, read_centroids
from tosmooth.study.measuring import in_passes
from tosmooth.study.plan import Cell
from tosmooth.study.similarity import Similarity
from tosmooth.training.evaluation import separation_of


def measure_separation(context: Context, done: Mapping[str, Cell]) -> None:
    """Write `separation.json` of every finished student that has none, or one of other similar classes."""
    on_main = context.compute.processes.on_main
    similarity = on_main(lambda: find_similarity(context))
    name, split = ("val", context.data.validation) if len(context.data.validation) else ("train", context.data.train)
    sets = _digest(similarity, name)
    todo = on_main(lambda: [cell for cell in done.values() if read_separation(context, cell).get("sets") != sets])
    if not todo:
        return
    batches = context.evaluation_batches(split)
    lost = on_main(lambda: [cell.name for cell in todo if not (context.folder(cell) / WEIGHTS_FILE).is_file()])
    for cell_name in lost:
        context.progress.note(f"{cell_name}: its weights are gone, so d′ is not measured")
    sums = 4 * len(similarity.similar) ** 2  # float32 numbers of each model: two float64 ones a pair of classes
    for group in in_passes(context, [cell for cell in todo if cell.name not in lost], beside=sums):
        _measure_together(context, group, batches, similarity, {"sets": sets, "split": name})


def _measure_together(
    context: Context, cells: Sequence[Cell], batches: Batches, similarity: Similarity, identity: Mapping[str, str]
) -> None:
    """One pass over the split for all of these students."""
    on_main = context.compute.processes.on_main
    centroids = on_main(lambda: [read_centroids(context, cell, identity["split"]) for cell in cells])
    known = [(cell, own.centroids) for cell, own in zip(cells, centroids, strict=True) if own is not None]
    if not known:
        return
    host, pairs = host_of(context.compute.device), similarity.similar | similarity.dissimilar
    found = separation_of(
        [context.trained_model(cell) for cell, _ in known],
        batches,
        context.compute,
        [ClassSeparation(centres.to(host), pairs) for _, centres in known],
        [context.last_layer(cell) for cell, _ in known],
        context.data.class_outputs,
    )
    for (cell, _), d_prime in zip(known, found, strict=True):
        record = {
            **identity,
            "d_prime_s1": _known(separation_from(d_prime, similarity.similar)),
            "d_prime_s2": _known(separation_from(d_prime, similarity.dissimilar)),
        }
        on_main(lambda: write_json(context.folder(cell) / SEPARATION_FILE, record, model=cell.name))  # noqa: B023


def read_separation(context: Context, cell: Cell) -> dict[str, Any]:
    """What `measure_separation` wrote; empty where it was not yet.

    Raises:
        StudyError: the file is damaged.
    """
    file, remedy = context.folder(cell) / SEPARATION_FILE, "delete it, and the same command makes it again"
    found = load_json(file, dict, remedy, model=cell.name) if file.is_file() else {}
    if not all(isinstance(found.get(key), float | None) for key in ("d_prime_s1", "d_prime_s2")):
        raise StudyError(f"{file} is damaged: d′ is no number; {remedy}")
    return found


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _digest(similarity: Similarity, split: str) -> str:
    """Which classes d′ is to: others are another measurement."""
    masks = b"".join(mask.numpy().tobytes() for mask in (similarity.similar, similarity.dissimilar))
    return hashlib.sha256(masks + split.encode()).hexdigest()[:16]
