"""Where a study's similar and dissimilar classes come from, and how far the sources agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from tosmooth.analysis.centroids import ClassCentroids
from tosmooth.analysis.class_groups import agreement, groups_by_ending, groups_by_label
from tosmooth.analysis.similarity import FEWEST_CLASSES, default_similar_count, farthest_classes, masks_from_groups
from tosmooth.config.schema import AnalysisConfig, StudyConfig
from tosmooth.errors import ConfigError, did_you_mean
from tosmooth.folder.paths import SIMILAR_CLASSES_FILE, SIMILARITY_FILE
from tosmooth.folder.writing import write_csv, write_json
from tosmooth.tasks.base import StudyData
from tosmooth.untrusted import UnreadableError, read_yaml

MOST_UNKNOWN = 5  # unknown class names that a message repeats
LONGEST_NAME = 100  # characters of one


@dataclass(frozen=True)
class Similarity:
    """Which classes are similar (S1) and dissimilar (S2) to each class, and on whose word."""

    similar: Tensor  # (K, K) bool, row π
    dissimilar: Tensor  # (K, K) bool, row π
    source: str
    weaker_evidence: bool
    m: int | None  # classes in S1; None where groups decide
    dissimilar_source: str
    notes: tuple[str, ...] = ()
    compared: tuple[Similarity, ...] = ()  # other sources that the study has at hand


def given_similarity(config: StudyConfig, data: StudyData) -> Similarity | None:
    """S1 and S2 from written-down groups; None where a teacher's geometry decides.

    Raises:
        ConfigError: fewer than 3 classes, sets that do not fit into them, groups that are not well-formed or name
            unknown classes, super-classes of data that has none, names without common endings, or names that are no
            synsets.
    """
    section, count = config.analysis, data.num_classes
    if count < FEWEST_CLASSES:
        raise ConfigError(
            [f"the data has {count} classes; diffusion towards similar classes needs at least {FEWEST_CLASSES}"]
        )
    most = (count - 1) // 2
    if section.dissimilar_choice == "farthest" and section.similar is not None and section.similar > most:
        raise ConfigError([f"analysis.similar: {section.similar} is too many for {count} classes; at most {most}"])
    if section.similarity_source == "teacher":
        return None
    key, read = _GROUPED[section.similarity_source]
    source, groups = read(section, data)
    found = _from_groups(source, groups, count)
    if isinstance(found, str):
        raise ConfigError([f"analysis.{key}: {found}"])
    return found


def set_size(section: AnalysisConfig, num_classes: int) -> int:
    """m: as asked for, or by default; never more than fit."""
    return min(section.similar or default_similar_count(num_classes), (num_classes - 1) // 2)


def complete_similarity(
    config: StudyConfig, data: StudyData, geometry: Similarity, centroids: ClassCentroids | Sequence[ClassCentroids]
) -> Similarity:
    """The source that the configuration names, S2 as it asks for, and beside it every other source at hand.

    Args:
        config: names the source and the kind of S2.
        data: gives class names and super-classes.
        geometry: S1 and S2 by the deciding teacher's geometry.
        centroids: of the deciding teacher, or of each of them.

    Raises:
        ConfigError: as `given_similarity`.
    """
    section, count = config.analysis, data.num_classes
    given, farthest = given_similarity(config, data), section.dissimilar_choice == "farthest"
    used, m, notes = given or geometry, set_size(section, count), []
    if given is None and not farthest:
        outside = ~geometry.similar & ~torch.eye(count, dtype=torch.bool)
        present = geometry.similar.any(1)
        outside &= present[:, None] & present[None, :]
        used = replace(geometry, dissimilar=outside, dissimilar_source="all classes outside S1")
    if given is not None and farthest:
        chosen = farthest_classes(centroids, given.dissimilar, m)
        text = f"the {m} farthest classes of other groups, by the {geometry.source}"
        used = replace(given, dissimilar=chosen, dissimilar_source=text)
    alone = int((~used.similar.any(1)).sum())
    if alone:
        notes.append(f"{alone} of {count} classes have no similar class by the {used.source}: η leaves them out.")
    if not farthest:
        notes.append(
            "Similar and dissimilar classes are together all the others, so in its declared form one η mirrors the "
            "other; analysis.dissimilar: farthest makes the second a measurement of its own."
        )
    compared = [geometry] if given is not None else []
    compared += [other for other in _at_hand(data) if other.source != used.source]
    return replace(used, notes=tuple(notes), compared=tuple(compared))


def _at_hand(data: StudyData) -> list[Similarity]:
    """Sources that cost nothing to look at: super-classes, and endings where most classes share theirs."""
    found = []
    if data.superclasses is not None:
        found.append(_from_groups(_SUPERCLASSES, groups_by_label(data.superclasses), data.num_classes))
    endings = _from_groups(_ENDINGS, groups_by_ending(data.classes), data.num_classes)
    if not isinstance(endings, str) and 2 * int(endings.similar.any(1).sum()) >= data.num_classes:
        found.append(endings)
    kept: list[Similarity] = []
    for other in found:
        # Of CUB-200-2011, the super-classes are the endings.
        if not isinstance(other, str) and not any(torch.equal(other.similar, k.similar) for k in kept):
            kept.append(other)
    return kept


def _from_groups(source: str, groups: Sequence[Sequence[int]], count: int) -> Similarity | str:
    """S1 and S2 of groups, or what is wrong with them."""
    try:
        return Similarity(*masks_from_groups(groups, count), source, False, None, "all classes of other groups")
    except ValueError as error:
        return f"{source}: {error}"


_SUPERCLASSES, _ENDINGS = "super-classes of the data set", "last word of the class names"
Groups = tuple[str, list[list[int]]]  # the source in words, class indices of each group


def _superclasses(section: AnalysisConfig, data: StudyData) -> Groups:
    if data.superclasses is None:
        raise ConfigError([f"analysis.superclasses: the source {data.source!r} has no super-classes"])
    return _SUPERCLASSES, groups_by_label(data.superclasses)


def _name_endings(section: AnalysisConfig, data: StudyData) -> Groups:
    return _ENDINGS, groups_by_ending(data.classes)


def _wordnet(section: AnalysisConfig, data: StudyData) -> Groups:
    from tosmooth.analysis.wordnet import parent_labels, read_parents, synsets_of

    assert section.wordnet is not None  # the schema has seen to it
    try:
        synsets = synsets_of(data.classes)
    except ValueError as error:
        raise ConfigError([f"analysis.similarity: wordnet: {error}"]) from None
    try:
        labels = parent_labels(synsets, read_parents(section.wordnet))
    except ValueError as error:
        raise ConfigError([f"analysis.wordnet: {error}"]) from None
    return f"WordNet parents of {section.wordnet.name}", groups_by_label(labels)


def _groups(section: AnalysisConfig, data: StudyData) -> Groups:
    assert section.groups is not None  # the schema has seen to it
    return f"groups of {section.groups.name}", _read_groups(section.groups, data.classes)


_GROUPED: dict[str, tuple[str, Callable[[AnalysisConfig, StudyData], Groups]]] = {
    "superclasses": ("superclasses", _superclasses),
    "name_endings": ("similarity", _name_endings),
    "wordnet": ("wordnet", _wordnet),
    "groups": ("groups", _groups),
}


def _read_groups(path: Path, classes: Sequence[str]) -> list[list[int]]:
    """Class indices of each group of a YAML file `{group: [class names]}`."""
    if not path.is_file():  # reading a pipe would wait for ever
        raise ConfigError([f"analysis.groups: {path} is not readable as YAML: no regular file"])
    try:
        named = read_yaml(path.read_text(encoding="utf-8"))
    except UnreadableError as error:
        raise ConfigError([f"analysis.groups: {path} {error}"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"analysis.groups: {path} is not readable as YAML: {error}"]) from None
    if not isinstance(named, dict) or not all(isinstance(members, list) for members in named.values()):
        raise ConfigError([f"analysis.groups: {path} must map each group's name to a list of class names"])
    positions = {name: index for index, name in enumerate(classes)}
    unknown = [str(name) for members in named.values() for name in members if str(name) not in positions]
    if unknown:
        shortened = [name[:LONGEST_NAME] for name in unknown[:MOST_UNKNOWN]]
        listed = [
            f"analysis.groups: {path}: unknown class {name!r}; {did_you_mean(name, classes)}" for name in shortened
        ]
        more = len(unknown) - len(listed)
        raise ConfigError(listed + ([f"analysis.groups: {path}: and {more} more unknown classes"] if more else []))
    return [[positions[str(name)] for name in members] for members in named.values()]


def write_similarity(folder: Path, classes: Sequence[str], similarity: Similarity) -> None:
    """Write S1 and S2 by class index (`similarity.json`), and all sources by name (`similar_classes.csv`)."""
    sources = (similarity, *similarity.compared)
    compared = []
    for other in similarity.compared:
        share, chance = agreement(similarity.similar, other.similar)
        entry = {"source": other.source, "share": share, "chance": chance, "similar": _members(other.similar)}
        compared.append(entry)
    write_json(
        folder / SIMILARITY_FILE,
        {
            "source": similarity.source,
            "weaker_evidence": similarity.weaker_evidence,
            "m": similarity.m,
            "dissimilar_source": similarity.dissimilar_source,
            "notes": list(similarity.notes),
            "classes": list(classes),
            "similar": _members(similarity.similar),
            "dissimilar": _members(similarity.dissimilar),
            "compared": compared,
        },
    )
    rows = [
        {
            "class_index": index,
            "class_name": name,
            "source": source.source,
            "used": source is similarity,
            "similar": "; ".join(classes[k] for k in source.similar[index].nonzero().flatten().tolist()),
            "dissimilar": "; ".join(classes[k] for k in source.dissimilar[index].nonzero().flatten().tolist()),
        }
        for index, name in enumerate(classes)
        for source in sources
    ]
    write_csv(folder / SIMILAR_CLASSES_FILE, pd.DataFrame(rows))


def _members(mask: Tensor) -> dict[str, list[int]]:
    return {str(index): mask[index].nonzero().flatten().tolist() for index in range(len(mask))}
