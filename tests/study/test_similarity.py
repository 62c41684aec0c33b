from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from tests.analysis.test_wordnet import write_wordnet
from tosmooth.analysis.centroids import ClassCentroids
from tosmooth.analysis.similarity import similar_classes
from tosmooth.config.schema import StudyConfig
from tosmooth.data.base import ImageData, TensorSplit
from tosmooth.errors import ConfigError
from tosmooth.recipes.reading import load_config
from tosmooth.study.similarity import Similarity, complete_similarity, given_similarity, set_size, write_similarity

BIRDS = ("Black footed Albatross", "Hooded Warbler", "Laysan Albatross", "Pine Warbler", "Ovenbird", "Yellow Warbler")


def image_data(classes: tuple[str, ...], superclasses: tuple[str, ...] | None = None) -> ImageData:
    split = TensorSplit(torch.zeros(len(classes), 1, 4, 4, dtype=torch.uint8), torch.arange(len(classes)), "test")
    return ImageData("folder", classes, 1, 4, split, split, split, superclasses, "", ())


def config_of(raw: dict[str, Any], analysis: dict[str, Any]) -> StudyConfig:
    return load_config({**raw, "analysis": analysis})


def by_geometry(positions: list[float], m: int) -> tuple[Similarity, ClassCentroids]:
    """Classes on a line, and what a teacher that sees them so would call similar."""
    centroids = ClassCentroids(len(positions), 1)
    centroids.update(torch.tensor(positions)[:, None], torch.arange(len(positions)))
    similar, dissimilar = similar_classes(centroids, m)
    return Similarity(similar, dissimilar, "geometry of a teacher", False, m, "the farthest"), centroids


def rows(mask: torch.Tensor) -> list[list[int]]:
    return [row.nonzero().flatten().tolist() for row in mask]


def test_the_last_words_of_names_decide_and_the_geometry_is_beside_them(tiny_raw, tmp_path: Path):
    data = image_data(BIRDS)
    config = config_of(tiny_raw, {"similarity": "name_endings"})
    geometry, centroids = by_geometry([0.0, 10.0, 1.0, 11.0, 20.0, 30.0], m=1)
    found = complete_similarity(config, data, geometry, centroids)
    assert rows(found.similar) == [[2], [3, 5], [0], [1, 5], [], [1, 3]]
    assert rows(found.dissimilar)[0] == [1, 3, 4, 5]
    assert "1 of 6 classes have no similar class" in found.notes[0]
    assert "mirrors" in found.notes[1]
    assert [other.source for other in found.compared] == ["geometry of a teacher"]
    write_similarity(tmp_path, data.classes, found)
    written = json.loads((tmp_path / "similarity.json").read_text(encoding="utf-8"))
    # Of 8 pairs, (0, 2), (2, 0), (1, 3) and (3, 1) are nearest neighbours too; the teacher names 6 of 30 pairs.
    assert written["compared"][0]["share"] == pytest.approx(4 / 8)
    assert written["compared"][0]["chance"] == pytest.approx(6 / 30)
    table = pd.read_csv(tmp_path / "similar_classes.csv", keep_default_na=False)
    assert len(table) == 2 * len(BIRDS)
    used = table[table.used]
    assert used.similar.tolist()[:2] == ["Laysan Albatross", "Pine Warbler; Yellow Warbler"]


def test_dissimilar_may_be_the_farthest_of_other_groups(tiny_raw):
    data = image_data(BIRDS, superclasses=("sea", "wood", "sea", "wood", "wood", "wood"))
    config = config_of(tiny_raw, {"similarity": "superclasses", "dissimilar": "farthest", "similar": 1})
    geometry, centroids = by_geometry([0.0, 10.0, 1.0, 11.0, 20.0, 30.0], m=1)
    found = complete_similarity(config, data, geometry, centroids)
    assert rows(found.dissimilar) == [[5], [0], [5], [0], [0], [0]]
    assert "the 1 farthest classes of other groups, by the geometry of a teacher" in found.dissimilar_source
    assert not any("mirrors" in note for note in found.notes)
    assert [other.source for other in found.compared] == ["geometry of a teacher", "last word of the class names"]


def test_the_teacher_decides_by_default_and_what_else_there_is_stands_beside_it(tiny_raw):
    data = image_data(BIRDS, superclasses=tuple(name.split()[-1] for name in BIRDS))
    geometry, centroids = by_geometry([0.0, 10.0, 1.0, 11.0, 20.0, 30.0], m=1)
    found = complete_similarity(config_of(tiny_raw, {}), data, geometry, centroids)
    assert torch.equal(found.similar, geometry.similar)
    assert torch.equal(found.dissimilar, geometry.dissimilar)
    assert [other.source for other in found.compared] == ["super-classes of the data set"], "the endings are the same"
    others = complete_similarity(config_of(tiny_raw, {"dissimilar": "others"}), data, geometry, centroids)
    assert torch.equal(others.dissimilar, ~geometry.similar & ~torch.eye(6, dtype=torch.bool))


def test_old_keys_mean_what_they_meant(tiny_raw, tmp_path: Path):
    groups = tmp_path / "groups.yaml"
    groups.write_text(
        "sea: [Black footed Albatross, Laysan Albatross]\nwood: [Pine Warbler, Ovenbird]", encoding="utf-8"
    )
    data = image_data(BIRDS, superclasses=("sea", "wood") * 3)
    for old, new in (
        ({"groups": str(groups)}, {"similarity": "groups", "groups": str(groups)}),
        ({"superclasses": True}, {"similarity": "superclasses"}),
    ):
        before, after = (given_similarity(config_of(tiny_raw, analysis), data) for analysis in (old, new))
        assert before is not None
        assert after is not None
        assert torch.equal(before.similar, after.similar)
        assert torch.equal(before.dissimilar, after.dissimilar)
    by_file = given_similarity(config_of(tiny_raw, {"groups": str(groups)}), data)
    assert by_file is not None
    assert rows(by_file.similar) == [[2], [], [0], [4], [3], []]
    assert rows(by_file.dissimilar)[1] == [], "a class in no group"
    assert given_similarity(config_of(tiny_raw, {"similarity": "teacher"}), data) is None


def test_parents_in_wordnet_decide(tiny_raw, tmp_path: Path):
    pytest.importorskip("wn")
    path = write_wordnet(tmp_path / "wordnet.xml")
    config = config_of(tiny_raw, {"similarity": "wordnet", "wordnet": str(path)})
    found = given_similarity(config, image_data(("n01440764", "n01484850", "goldfish")))
    assert found is not None
    assert rows(found.similar) == [[2], [], [0]]
    assert found.source == "WordNet parents of wordnet.xml"
    for classes, reason in (
        (("Sneaker", "Sandal", "Shirt"), r"analysis\.similarity: wordnet: 2 of 3 class names are no synset ids"),
        (("n01440764", "n01443537", "n99999999"), r"analysis\.wordnet: 1 of 3 synsets are not in this WordNet"),
    ):
        with pytest.raises(ConfigError, match=reason):
            given_similarity(config, image_data(classes))


def test_settings_that_contradict_each_other_are_all_named(tiny_raw, tmp_path: Path):
    groups = tmp_path / "groups.yaml"
    groups.write_text("a: [b]", encoding="utf-8")
    for analysis, keys in (
        ({"similarity": "teacher", "groups": str(groups), "superclasses": True}, ("groups", "superclasses")),
        ({"similarity": "groups"}, ("groups",)),
        ({"groups": str(groups), "superclasses": True}, ("superclasses",)),
        ({"wordnet": str(groups)}, ("wordnet",)),
        ({"similarity": "wordnet"}, ("wordnet",)),
        ({"similarity": "names"}, ("similarity",)),
        ({"dissimilar": "nearest"}, ("dissimilar",)),
    ):
        with pytest.raises(ConfigError) as error:
            config_of(tiny_raw, analysis)
        named = [mistake.partition(":")[0] for mistake in error.value.mistakes]
        assert set(named) - {"analysis.similarity"} == {f"analysis.{key}" for key in keys} - {"analysis.similarity"}
        assert named


def test_data_that_a_source_does_not_fit(tiny_raw):
    for analysis, data, reason in (
        ({"similarity": "superclasses"}, image_data(BIRDS), "has no super-classes"),
        ({"similarity": "name_endings"}, image_data(("wren", "owl", "kite")), "one with two classes"),
        ({"similar": 3}, image_data(BIRDS), "too many for 6 classes; at most 2"),
        ({"superclasses": True, "dissimilar": "farthest", "similar": 3}, image_data(BIRDS, BIRDS), "at most 2"),
        ({}, image_data(BIRDS[:2]), "at least 3"),
    ):
        with pytest.raises(ConfigError, match=reason):
            given_similarity(config_of(tiny_raw, analysis), data)
    section = config_of(tiny_raw, {"superclasses": True, "similar": 9}).analysis
    assert set_size(section, 6) == 2, "with groups, `similar` was never asked to fit"


def test_unknown_names_of_a_groups_file_are_listed_with_their_nearest(tiny_raw, tmp_path: Path):
    groups = tmp_path / "groups.yaml"
    os.mkfifo(tmp_path / "pipe.yaml")
    for path in (tmp_path, tmp_path / "pipe.yaml"):
        with pytest.raises(ConfigError, match="not readable as YAML"):
            given_similarity(config_of(tiny_raw, {"groups": str(path)}), image_data(BIRDS))
    unknown = ["Ovenbrid", "x" * 10_000, {"a": 1}, None, "<script>", "six", "seven"]
    groups.write_text(json.dumps({"birds": unknown}), encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        given_similarity(config_of(tiny_raw, {"groups": str(groups)}), image_data(BIRDS))
    assert len(error.value.mistakes) == 6
    assert "did you mean 'Ovenbird'?" in error.value.mistakes[0]
    assert "and 2 more" in error.value.mistakes[-1]
    assert max(map(len, error.value.mistakes)) < 600
    groups.write_text("a: &a [*a]", encoding="utf-8")
    with pytest.raises(ConfigError, match="refers to itself"):
        given_similarity(config_of(tiny_raw, {"groups": str(groups)}), image_data(BIRDS))
