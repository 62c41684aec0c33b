from __future__ import annotations

from pathlib import Path

from tests.report.study_files import Variant, write_study
from tosmooth.report.caveats import caveats
from tosmooth.report.reading import StudyFiles, read_study
from tosmooth.report.similarity_table import MOST_NAMES, how_classes_were_chosen, similarity_table


def test_each_class_with_both_sets_and_the_other_source(effect_files: StudyFiles) -> None:
    table = similarity_table(effect_files)
    assert table is not None
    classes = effect_files.similarity["classes"]
    titles = ["class", "similar", "dissimilar", "similar by the super-classes of the data set"]
    assert [column.title for column in table.columns] == titles
    assert [column.texts[0] for column in table.columns] == [classes[0], classes[1], classes[2], "–"]
    assert "50 % are also similar by the super-classes of the data set; chance would give 25 %" in table.caption


def test_long_sets_are_cut_in_the_page_and_whole_in_the_file(tmp_path: Path) -> None:
    names = tuple(f"class {number}" for number in range(20))
    files = read_study(write_study(tmp_path / "study", Variant(classes=names)))
    files.similarity["dissimilar"]["0"] = list(range(1, 20))
    table = similarity_table(files)
    assert table is not None
    assert table.columns[2].texts[0].endswith(f"class {MOST_NAMES} and 11 more")
    assert "class 19" in table.csv().splitlines()[1]


def test_an_older_study_has_no_such_table(effect_files: StudyFiles, tmp_path: Path) -> None:
    files = read_study(write_study(tmp_path / "study", Variant(skip=("analysis/similarity.json",))))
    assert similarity_table(files) is None


def test_how_the_classes_were_chosen_in_words() -> None:
    old = {"source": "geometry of the teacher with α = 0", "m": 3}
    assert how_classes_were_chosen(old).startswith(
        "The 3 nearest and the 3 farthest classes of each class, by the geom"
    )
    groups = {"source": "groups of g.yaml", "m": None, "dissimilar_source": "all classes of other groups"}
    assert how_classes_were_chosen(groups) == (
        "The other classes of each class’s own group, by the groups of g.yaml; dissimilar: all classes of other groups."
    )
    assert how_classes_were_chosen({})


def test_notes_on_similar_classes_are_caveats(effect_files: StudyFiles) -> None:
    note = "3 of 10 classes have no similar class (by the endings): η leaves them out."
    assert note not in caveats(effect_files)
    effect_files.similarity["notes"] = [note]
    try:
        assert caveats(effect_files).count(note) == 1
    finally:
        effect_files.similarity["notes"] = []
