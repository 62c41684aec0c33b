from __future__ import annotations

from tosmooth.report.paper import paper_tables, published_results
from tosmooth.tasks.published import PublishedImages


def test_the_published_tables_in_the_shape_of_the_users_own() -> None:
    tables = paper_tables(PublishedImages())
    assert [table.title for table in tables] == [
        "ImageNet-1K, ResNet-50 → ResNet-18",
        "ImageNet-1K, ResNet-50 → ResNet-50",
        "CUB-200-2011, ResNet-50 → ResNet-18",
        "CUB-200-2011, ResNet-50 → ResNet-50",
        "CUB-200-2011, ResNet-50 → MobileNetV2",
    ]
    first = tables[0]
    assert list(first.students.index) == [1, 2, 3, 64]
    assert list(first.students.columns) == [0.0, 0.1]
    # Table of the authors' repository: ImageNet, ResNet-18, T = 2.
    assert first.students.loc[2, 0.0] == 71.360
    assert first.students.loc[2, 0.1] == 68.860
    assert first.teacher[0.1] == 76.200


def test_translation_results_are_kept_too() -> None:
    published = published_results()
    assert (published["task"] == "translation").sum() == 20
    assert published.loc[published["dataset"] == "iwslt14-en-ru", "bleu"].max() == 16.976
