"""What is settled before a study begins is a configuration that anybody can read again."""

from __future__ import annotations

from pathlib import Path

import yaml

from tosmooth.config.schema import dump_config
from tosmooth.distill.call import Call
from tosmooth.distill.given import Given
from tosmooth.distill.settling import smoothing_of, with_given
from tosmooth.distill.start import starting_config
from tosmooth.recipes.reading import load_config


def test_the_study_of_a_taken_teacher_reads_again_whatever_was_said_of_its_training(tmp_path: Path) -> None:
    """Mixing is of a teacher that is trained; `export` and all others read the configuration of one that was not."""
    call = Call(
        "timm:resnet18.a1_in1k",
        "timm:mobilenetv3_small_100",
        data=str(tmp_path),
        overrides=["teacher.mixing.mixup=0.2"],
    )
    start = starting_config(call)
    assert start.teacher.mixing.on
    weights = tmp_path / "given.safetensors"
    weights.touch()
    audit = {"verdict": "smoothed", "alpha": 0.1, "headline": "It was smoothed."}
    given = Given(weights, "it knows the data's classes", audit, 32)
    config = with_given(start, given, smoothing_of(call, given))
    again = load_config(yaml.safe_load(dump_config(config)))
    assert (again.teacher.train, again.teacher.mixing.on, again.teacher.checkpoints) == (False, False, {0.1: weights})
