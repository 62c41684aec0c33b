"""The model card: its figures are the study's, and no name in it is obeyed by a renderer."""

from __future__ import annotations

import dataclasses
import json
import re

import pandas as pd
import pytest
import yaml
from markdown_it import MarkdownIt

from tosmooth.analysis.inference import t_interval
from tosmooth.config.schema import StudentConfig
from tosmooth.export.card import model_card
from tosmooth.export.markdown import LONGEST, plain
from tosmooth.export.subject import Subject, choose
from tosmooth.study.summary import headline_of
from tosmooth.words.caveats import caveat_sentences

HOSTILE = (
    "<img src=x onerror=alert(1)>", "[click](http://evil.example)", "![](http://evil.example/track.png)", "a | b",
    "`rm -rf`", "line\n\n# Heading", "**bold** _it_ ~~no~~ $x$", "www.evil.example", "http://evil.example",
    "\u202etxt.exe\x1b[31m", "&lt;script&gt;", "</td></table>", "- item", "1. one", "<http://evil.example>",
    "me@evil.example", "\\", "```", "===", "[^1]: note", "| --- |",
)  # fmt: skip
MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


@pytest.fixture(scope="module")
def student(tiny_study) -> Subject:
    return choose(tiny_study.path, None).load()


def kinds(text: str) -> set[str]:
    """The kinds of all tokens that a renderer makes of it."""
    tokens = MARKDOWN.parse(text)
    return {token.type for token in tokens} | {child.type for token in tokens for child in token.children or ()}


def body(card: str) -> str:
    return card.split("---\n", 2)[2]


def test_figures_are_those_of_the_tables(student, tiny_study):
    card = model_card(student, ["safetensors"])
    row = tiny_study.cells.set_index("cell").loc[student.owner.name]
    (line,) = [line for line in card.splitlines() if line.startswith("| Top-1, % |")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    chosen = tiny_study.advice["recommendation"]
    same = tiny_study.cells
    for key in ("objective", "label_smoothing", "temperature", "student"):
        same = same[same[key] == chosen[key]]
    assert cells[1] == f"{row['val/top1']:.1f}"
    assert cells[3] == f"{row['test/top1']:.1f}"
    for cell, column in ((cells[2], "val/top1"), (cells[4], "test/top1")):
        interval = t_interval(same[column].to_numpy())
        assert cell == f"{interval.mean:.1f} ± {(interval.high - interval.low) / 2:.1f}"
    (line,) = [line for line in card.splitlines() if line.startswith("| Calibration error")]
    assert f"| {100 * row['cal/ece']:.1f} |" in line


def test_it_says_what_a_reader_must_know(student, tiny_study):
    card = model_card(student, ["safetensors", "onnx"])
    head = yaml.safe_load(card.split("---")[1])
    assert head["pipeline_tag"] == "image-classification"
    assert "distilled at temperature T = 1" in card
    for text in caveat_sentences(tiny_study.advice["caveats"], student.files.wording):
        assert plain(text) in card
    assert plain(headline_of(tiny_study)) in card
    assert "To be filled in" in card
    assert "Ankle boot" in card
    assert "tosmooth evaluate model.safetensors study.yaml" in card
    environment = json.loads((tiny_study.path / "environment.json").read_text(encoding="utf-8"))
    assert f"Trained with tosmooth {environment['tosmooth']}, torch {environment['torch']}" in card
    assert "not the setting that the study recommends" not in card


def test_it_has_the_size_and_the_time_of_the_student_to_keep(student, tiny_study):
    card = model_card(student, ["safetensors"])
    size = sum(tensor.nbytes for tensor in student.model.state_dict().values()) / 1e6
    assert f"| Parameters | {student.record['parameters']:,} ({size:.3g} MB) |" in card
    assert re.search(r"ms an image, .* where the study ran\)", card)
    others = [name for name in tiny_study.cells.cell if name != student.owner.name]
    other = model_card(choose(tiny_study.path, others[0]).load(), ["safetensors"])
    assert re.search(r"ms an image, .* ms in batches of 8 \(CPU, .* where it was exported\)", other)


def test_it_has_the_hard_weight_and_what_the_model_reaches_without_a_teacher(student):
    card = model_card(student, ["safetensors"])
    assert "| Weight of hard labels | 0: it learnt from the teacher's answers alone |" in card
    assert "The same model trained" not in card  # this study has no such student
    owner = dataclasses.replace(student.owner, hard_weight=0.25)
    records = [{"val/top1": 50.0, "test/top1": 41.0}, {"val/top1": 52.0, "test/top1": 42.0}]
    controls = {"without a teacher": records, "smoothed": [{"val/top1": 3.0, "test/top1": None}], "unknown": [{}]}
    card = model_card(dataclasses.replace(student, owner=owner, controls=controls), ["safetensors"])
    assert f"| Weight of hard labels | {plain('0.25')} |" in card
    assert (
        "The same model trained without a teacher: top-1 51.0 % on validation and 41.5 % on test (mean over 2 seeds). "
        "The same model trained smoothed: top-1 3.0 % on validation.\n"
    ) in card


def test_another_setting_than_the_recommended_one_says_so(tiny_study):
    other = choose(tiny_study.path, "hinton-a0.1-T8-resnet8-s0").load()
    assert "**This is not the setting that the study recommends.**" in model_card(other, ["safetensors"])
    assert "label smoothing α = 0.1; seed 0" in model_card(other, ["safetensors"])


def test_a_model_without_a_study_says_so(student):
    alone = dataclasses.replace(student, files=None)
    card = model_card(alone, ["safetensors"])
    assert "not the outcome of a whole study" in card
    assert "± " not in card.split("## How good it is")[1].split("## What the study says")[0]


def test_the_seeds_of_given_teachers_count(tiny_study):
    """A study whose two teachers of that α are given: the card's mean is over both."""
    teacher = choose(tiny_study.path, "a0.1-s0").load()
    rows = teacher.files.teachers[teacher.files.teachers["label_smoothing"] == 0.1]
    both = pd.concat([rows, rows.assign(**{"seed": 1, "val/top1": rows["val/top1"] + 2})]).assign(status="given")
    config = teacher.config.model_copy(update={"teacher": teacher.config.teacher.model_copy(update={"train": False})})
    given = dataclasses.replace(
        teacher,
        config=config,
        owner=dataclasses.replace(teacher.owner, given=True),
        files=dataclasses.replace(teacher.files, teachers=both),
    )
    card = model_card(given, ["safetensors"])
    assert "taken as given" in card
    assert "Validation, 2 seeds" in card
    assert f"{both['val/top1'].mean():.1f} ± " in card
    assert "Trained with" not in card


def test_the_kept_weights_may_be_a_mean(student):
    own = student.record["selected_epoch"]
    assert f"| Epochs | 2, kept: {own} (" in model_card(student, ["safetensors"])
    section = student.config.student.model_copy(update={"average_last": 2})
    averaged = dataclasses.replace(student, config=student.config.model_copy(update={"student": section}))
    card = model_card(averaged, ["safetensors"])
    assert "| Epochs | 2, kept: the mean of the weights after each of the last 2 |" in card
    section = StudentConfig.model_validate(student.config.student.model_dump() | {"moving_average": 0.9998})
    averaged = dataclasses.replace(student, config=student.config.model_copy(update={"student": section}))
    card = model_card(averaged, ["safetensors"])
    assert f"| Epochs | 2, kept: {own} (" in card
    assert "), the moving average (EMA) of the weights, decay 0.9998 |" in card


def test_mixed_images_are_told(student):
    assert "images mixed" not in model_card(student, ["safetensors"])
    mixing = student.config.student.mixing.model_copy(update={"cutmix": 1.0})
    section = student.config.student.model_copy(update={"mixing": mixing})
    mixed = dataclasses.replace(student, config=student.config.model_copy(update={"student": section}))
    assert "| Training | images mixed: CutMix 1 |" in model_card(mixed, ["safetensors"])


def test_where_there_is_no_temperature_none_is_told(student):
    owner = dataclasses.replace(student.owner, objective="sequence")
    card = model_card(dataclasses.replace(student, owner=owner, files=None), ["safetensors"])
    assert "trained on the translations (objective sequence) of a teacher" in card
    assert "emperature" not in card
    assert "T = " not in card


def test_no_name_is_obeyed(student):
    expected = kinds(body(model_card(student, ["safetensors"])))
    rows = len(re.findall("^\\|", model_card(student, ["safetensors"]), flags=re.MULTILINE))
    taken = student.files.environment["milliseconds_per_image"]
    for text in HOSTILE:
        names = tuple(f"{text}{i}" if i else text for i in range(10))
        files = student.files
        caveats = [text, {"code": "one seed", "unit": text}]
        advice = {**files.advice, "caveats": caveats, "effect": files.advice["effect"] | {"unit": text}}
        advice["rule"] = {"sentence": text}
        answer = files.verdict["answer"] | {"unit": text, "settings": [], "chosen": files.verdict["answer"]["chosen"]}
        subject = dataclasses.replace(
            student,
            data=dataclasses.replace(student.data, classes=names, source=text),
            config=student.config.model_copy(update={"name": text}),
            files=dataclasses.replace(
                files,
                advice=advice,
                verdict={"answer": answer},
                environment={
                    "torch": text,
                    "gpu": text,
                    "milliseconds_per_image": taken,
                },
            ),
        )
        card = model_card(subject, ["safetensors"])
        found = kinds(body(card))
        assert found <= expected | {"text_special"}, text
        assert "link_open" not in found, text
        assert not found & {"html_inline", "html_block", "image"}, text
        assert len(re.findall("^\\|", card, flags=re.MULTILINE)) == rows, text
        assert not re.search("[\x1b\u202e]", card)
        assert yaml.safe_load(card.split("---")[1])["pipeline_tag"] == "image-classification"


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_is_shown_as_it_is(text):
    """What a renderer makes of it is one paragraph of the same letters."""
    tokens = MARKDOWN.parse(plain(text))
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    shown = "".join(child.content for child in tokens[1].children)
    assert shown == " ".join(text.replace("\u202e", "\\u202e").replace("\x1b", "\\x1b").split())


def test_long_texts_are_cut():
    assert len(plain("a" * 10_000)) == LONGEST
