from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from tosmooth.analysis.translation_metrics import score_translations, sentence_statistics
from tosmooth.data.translation.data import load_translation_data
from tosmooth.data.translation.languages import bleu_tokeniser, check_scored, is_unspaced, names_side
from tosmooth.data.translation.text import novel
from tosmooth.errors import ConfigError, DataError
from tosmooth.recipes.reading import load_config
from tosmooth.tasks.translation import of_sentences

CHINESE = tuple("我们今天明天文件打开关闭保存按钮用户列表项目页面搜索错误网络不能读取写入窗口新的旧的")
WORDS = "the file window opens closes save user button list new old item page search big small text error"
ENGLISH = tuple(WORDS.split())


def chinese(root: Path, spaces: str, language: str = "zh", count: int = 60) -> Path:
    """English beside lines of Chinese letters, with or without something between words of two letters."""
    root.mkdir(exist_ok=True)
    words = ["".join(CHINESE[2 * i : 2 * i + 2]) for i in range(len(CHINESE) // 2)]
    for split, lines, start in (("train", count, 0), ("val", 6, 7), ("test", 6, 11)):
        places = [[(start + i * k) % 20 for k in (1, 3, 7, 2, 5)] for i in range(1, lines + 1)]
        ours = [" ".join(ENGLISH[p % len(ENGLISH)] for p in row) for row in places]
        theirs = [spaces.join(words[p] for p in row) + "。" for row in places]
        (root / f"{split}.en").write_text("\n".join(ours) + "\n", encoding="utf-8")
        (root / f"{split}.{language}").write_text("\n".join(theirs) + "\n", encoding="utf-8")
    return root


def load(root: Path, *overrides: str):
    limits = [f"data.limit_{split}=null" for split in ("train", "validation", "test")]
    own = ["data.source=parallel_text", f"data.path={root}", "data.text.vocabulary=400", "analysis.tokens=10"]
    config = of_sentences(load_config("translation-en-de", [*own, *limits, *overrides]))
    return load_translation_data(config.data, config.analysis.tokens)


def test_which_tokeniser_bleu_has():
    codes = ("de", "en-GB", "zh", "zh-CN", "zh_Hant", "cmn", "yue", "ja", "jpn", "ko", "th", "my")
    found = ("13a", "13a", "zh", "zh", "zh", "zh", "zh", "ja-mecab", "ja-mecab", "ko-mecab", "char", "char")
    assert tuple(map(bleu_tokeniser, codes)) == found
    assert [code for code in codes if is_unspaced(code)] == [*codes[2:9], "th", "my"]


def test_bleu_of_chinese_counts_letters_and_not_whole_sentences():
    said = ["他昨天在北京买了一本书。", "请点击保存按钮。"]
    meant = ["他昨天在北京买了一本新书。", "请单击保存按钮。"]
    assert score_translations(said, meant).bleu < 20
    scores = score_translations(said, meant, tokenize="zh")
    assert 60 < scores.bleu < 80
    assert "|tok:zh|" in scores.signature
    assert sentence_statistics(said, meant, "zh")[:, 0].tolist() == [12, 8]


@pytest.mark.parametrize(("code", "module"), [("ja", "MeCab"), ("ko-KR", "mecab_ko")])
def test_what_needs_a_library_says_so_before_any_work(code, module):
    if find_spec(module) is not None:
        pytest.skip("installed here")
    with pytest.raises(
        ConfigError, match=rf"target_language: BLEU of '{code}'.*pip install \"sacrebleu\[{code[:2]}\]\""
    ):
        check_scored(code)
    check_scored("zh")


def test_a_language_without_spaces_has_classes_of_letters(tmp_path: Path):
    data = load(chinese(tmp_path / "without", ""), "data.text.target_language=zh")
    assert len(data.classes) == len(set(data.classes)) == 10
    assert all(character in CHINESE for name in data.classes for character in name)
    assert any("tokens of letters, as nothing parts words" in note for note in data.notes)
    assert any("sacrebleu's zh" in note for note in data.notes)
    parted = load(chinese(tmp_path / "with", " "), "data.text.target_language=zh")
    assert any("target words that are one token" in note for note in parted.notes)
    assert {len(name) for name in parted.classes} == {2}


def test_the_same_text_under_another_language_is_refused_for_the_right_reason(tmp_path: Path):
    with pytest.raises(
        DataError, match=r"hardly any spaces: if its language has none, data\.text\.target_language must"
    ):
        load(chinese(tmp_path / "x", "", "de"))


def test_what_is_new_without_spaces_goes_by_letters(tmp_path: Path):
    root = chinese(tmp_path / "x", "")
    data = load(root, "data.text.source_language=zh", "data.text.target_language=en")
    assert any("letter trigrams" in note for note in data.notes)
    asked, known = ["我们今天打开文件", "保存按钮用户"], ["今天我们今天打开文件。"]
    assert novel(asked, known, unspaced=True).tolist() == [False, True]
    assert novel(asked, known).tolist() == [True, True]


@pytest.mark.parametrize(
    ("header", "side", "language", "is_one"),
    [
        ("en", 0, "en", True), ("English", 0, "en-GB", True), ("source text", 0, "en", True), ("src", 0, "de", True),
        ("en_sentence", 0, "en", True), ("Target", 1, "de", True), ("zh-CN", 1, "zh-CN", True),
        ("translation", 1, "ru", True), ("text_de", 1, "de", True), ("the source", 0, "en", False),
        ("", 0, "en", False), ("text", 0, "en", False), ("source", 1, "de", False), ("de", 0, "en", False),
        ("English!?", 1, "de", False),
    ],
)  # fmt: skip
def test_what_names_a_side(header: str, side: int, language: str, is_one: bool):
    assert names_side(header, side, language) == is_one
