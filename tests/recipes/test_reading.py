from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tosmooth.config.schema import dump_config
from tosmooth.errors import ConfigError
from tosmooth.recipes import recipe_names, recipe_text
from tosmooth.recipes.mistakes import find_mistakes
from tosmooth.recipes.reading import load_config, parse_override, read_source
from tosmooth.study.plan import make_plan
from tosmooth.tasks.base import QUICK, Task
from tosmooth.tasks.find import TASKS, register_task
from tosmooth.tasks.metric import TOP1


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_valid_but_for_the_users_own_paths(name):
    mistakes = [m for m in find_mistakes(yaml.safe_load(recipe_text(name))) if not m.startswith("data.path:")]
    assert mistakes == []


def test_the_fine_recipe_crosses_its_axes():
    config = load_config("fashion-mnist-fine")
    plan = make_plan(config)
    assert len(config.teacher.label_smoothing) == 5
    assert len(config.student.temperatures) == 6
    assert 1.5 in config.student.temperatures
    assert len(config.teacher.seeds) >= 3
    assert (len(plan.teachers), len(plan.cells)) == (15, 180)
    assert f"= {len(plan.cells)} students" in recipe_text("fashion-mnist-fine")
    more = make_plan(load_config("fashion-mnist-fine", ["teacher.seeds=[0,1,2,3,4,5]"]))  # as its header proposes
    assert {cell.name for cell in plan.cells} < {cell.name for cell in more.cells}


def test_a_dumped_configuration_reads_back_as_itself(tmp_path: Path):
    config = load_config()
    file = tmp_path / "study.yaml"
    file.write_text(dump_config(config), encoding="utf-8")
    assert load_config(str(file)) == config


def test_overrides_are_read_as_yaml_and_reach_nested_keys():
    config = load_config(
        overrides=["student.epochs=3", "student.temperatures=[1, 1.5]", "student.model.width=2", "name=mine"]
    )
    assert config.student.epochs == 3
    assert config.student.temperatures == [1.0, 1.5]
    assert config.student.model.width == 2
    assert config.student.model.name == "resnet8"
    assert config.name == "mine"


def test_a_key_of_a_section_keeps_what_stood_for_the_section() -> None:
    config = load_config(
        "fashion-mnist",
        ["cache=3", "cache.pixels=off", "student.moving_average=0.99", "student.moving_average.warmup=true"],
    )
    assert (config.cache.views, config.cache.pixels) == (3, "off")
    average = config.student.moving_average
    assert average is not None
    assert (average.decay, average.warmup) == (0.99, True)
    with pytest.raises(ConfigError, match=r"cache\.pixels: on stores the views of cache\.views, which is off"):
        load_config("fashion-mnist", ["cache=off", "cache.pixels=on"])


def test_a_model_given_as_a_name_can_still_be_overridden(tiny_raw):
    tiny_raw["student"]["model"] = "resnet8"
    assert load_config(tiny_raw, ["student.model.width=2"]).student.model.width == 2


def test_quick_is_a_preview_with_a_name_of_its_own():
    quick = load_config(quick=True)
    assert quick.preview
    assert quick.name == "fashion-mnist-quick"
    assert quick.student.epochs == QUICK["student.epochs"]
    assert (load_config().teacher.seeds, quick.teacher.seeds) == ([0, 1, 2, 3], [0])


def test_all_mistakes_are_reported_at_once(tiny_raw):
    tiny_raw["data"]["source"] = "cifar11"
    tiny_raw["student"]["temperatures"] = [1, 0]
    tiny_raw["student"]["epocs"] = 3
    tiny_raw["student"]["model"] = "resnet9"
    tiny_raw["teacher"]["label_smoothing"] = [0.1, 1.0]
    tiny_raw["teacher"]["batch_size"] = "many"
    tiny_raw["selection"] = "best"
    tiny_raw["data"]["validation"] = 0
    with pytest.raises(ConfigError) as caught:
        load_config(tiny_raw, ["oops"])
    text = str(caught.value)
    for expected in (
        "override 'oops': expected key=value",
        "data.source: unknown data source 'cifar11'; did you mean 'cifar10'?",
        "student.temperatures.1",
        "student.epocs: unknown key; did you mean 'epochs'?",
        "student.model.name",
        "'resnet9'",
        "teacher.label_smoothing.1",
        "teacher.batch_size",
    ):
        assert expected in text
    assert len(caught.value.mistakes) >= 8


def test_options_of_objectives_are_held_against_the_objectives_own_arguments(tiny_raw):
    tiny_raw["student"] |= {
        "objectives": ["hinton", "dkd"],
        "objective_options": {"dkd": {"alpha": "one", "betta": 4}, "hinton": {"beta": 1}, "logit_standard": {}},
        "label_smoothing": 0.1,
        "batch_size": 0,
    }
    with pytest.raises(ConfigError) as caught:
        load_config(tiny_raw)
    text = str(caught.value)
    for expected in (
        "student.objective_options.dkd.alpha: must be a finite number, got 'one'",
        "student.objective_options.dkd.betta: the objective 'dkd' has no such option; did you mean 'beta'?",
        "student.objective_options.hinton.beta: the objective 'hinton' has no such option; it takes none",
        "student.objective_options.logit_standard: options of an objective that is not in student.objectives",
        "student.label_smoothing: 0.1 smooths the hard labels, which count for nothing",
        "student.batch_size",
    ):
        assert expected in text
    assert len(caught.value.mistakes) == 6


@pytest.mark.parametrize(
    ("value", "reason"),
    [("-1", "at least 0, got -1"), (".nan", "finite number"), ("true", "finite number"), ("[1]", "finite number")],
)
def test_an_objective_judges_the_values_of_its_options(value, reason):
    with pytest.raises(ConfigError, match=reason) as caught:
        load_config(overrides=["student.objectives=dkd", f"student.objective_options.dkd.beta={value}"])
    assert "student.objective_options.dkd.beta: " in str(caught.value)


def test_sound_options_and_a_smoothing_of_hard_labels_pass():
    options = ["student.objectives=[hinton,dkd]", "student.objective_options={dkd: {alpha: 1, beta: 4}}"]
    config = load_config(overrides=[*options, "student.hard_weight=0.1", "student.label_smoothing=0.2"])
    assert config.student.objective_options == {"dkd": {"alpha": 1, "beta": 4}}
    assert config.student.label_smoothing == 0.2


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["student.temperatures=-1"], "greater than 0"),
        (["student.temperatures=.inf"], "finite"),
        (["student.temperatures=[2, 2]"], "repeated: 2"),
        (["student.temperatures=[2, 2.00000001]"], "repeated: 2"),
        (["teacher.label_smoothing=1"], "less than 1"),
        (["teacher.label_smoothing=-0.1"], "greater than or equal to 0"),
        (["student.objectives=hintom"], "did you mean 'hinton'?"),
        (["data.train_augmentation=flipp"], "did you mean 'flip'?"),
        (["data.path=/no/such/folder"], "does not exist"),
        (["data.source=folder"], "data.path"),
        (["teacher.train=false"], "needs a checkpoint"),
        (["teacher.train=false", "teacher.seeds=[0,1]"], "2 seeds of it would be the same, again"),
        (["teacher.seeds=[1,1]"], "repeated: 1"),
        (["teacher.seeds=[0,1,2]", "student.pairing=paired"], "paired needs as many teacher.seeds as student.seeds"),
        (["student.models=[resnet8]"], "student.models: names of student models must differ"),
        (["student.models=[resnet14, resnet99]"], "student.models.1.name"),
        (["student.schedule.warmup_epochs=4"], "warmup"),
        (["data.eval_transform=resize_center_crop"], "image_size"),
        (["data.train_augmentation=crop_flip"], "image_size"),
        (["name=../elsewhere"], "name"),
        (["data.validation=0", "selection=best"], "validation split"),
        (["student.model=timm:resnet18x"], "resnet18"),
        (["student.moving_average=1"], "student.moving_average.decay: should be less than 1"),
        (["student.moving_average=on"], "student.moving_average: must be a decay, such as 0.9998"),
        (["teacher.moving_average={decay: 0.9, warmpu: true}"], "did you mean 'warmup'?"),
        (["student.moving_average=0.9", "student.average_last=2"], "leave out one of the two"),
        (["student.optimizer.momentum=0"], "student.optimizer.nesterov: needs student.optimizer.momentum above 0"),
        (["student.optimizer.name=lamp"], "student.optimizer.name: should be 'sgd', 'adam', 'adamw'"),
        (["student.optimizer.layer_decay=1"], "student.optimizer.layer_decay: should be less than 1"),
        (
            ["student.model.name=timm:resnet18", "student.model.kwargs={drop_path_rate: 1.5}"],
            "student.model.kwargs.drop_path_rate: must be a number of at least 0 and below 1 (got 1.5)",
        ),
        (["student.schedule.name=one_cycle", "student.schedule.warmup_epochs=4"], "leaves nothing of 4 epochs"),
    ],
)
def test_each_wrong_value_gets_its_reason(overrides, expected):
    with pytest.raises(ConfigError, match=r"configuration") as caught:
        load_config(overrides=overrides)
    assert expected in str(caught.value)


def test_mistakes_of_given_teachers(tmp_path: Path):
    one, two = (tmp_path / f"{name}.safetensors" for name in ("one", "two"))
    one.touch(), two.touch()

    def mistakes(**teacher: object) -> str:
        overrides = [f"teacher.{key}={json.dumps(value)}" for key, value in teacher.items()]
        with pytest.raises(ConfigError) as caught:
            load_config(overrides=overrides)
        return str(caught.value)

    assert "1 file for α = 0.1 and 2 teacher seeds" in mistakes(given={"0.1": str(one)}, seeds=[0, 1])
    assert "2 files for α = 0.1 and 1 teacher seeds" in mistakes(given={"0.1": [str(one), str(two)]}, seeds=[0])
    assert "the same file twice for α = 0.1" in mistakes(given={"0.1": [str(one), str(one)]}, seeds=[0, 1])
    assert "0.2 is not in teacher.label_smoothing" in mistakes(given={"0.2": str(one)})
    assert "in teacher.checkpoints too" in mistakes(given={"0.1": str(one)}, checkpoints={"0.1": str(two)})
    assert "does not exist" in mistakes(given={"0.1": str(tmp_path / "none")})
    both = load_config(
        overrides=[f"teacher.given={json.dumps({'0.1': [str(one), str(two)], '0.0': [str(two), str(one)]})}",
                   "teacher.seeds=[0,1]", "student.pairing=crossed", "teacher.train=false"]
    )  # fmt: skip
    assert both.teacher.given[0.1] == [one, two]


def test_sources_that_cannot_be_read(tmp_path: Path):
    with pytest.raises(ConfigError, match="did you mean 'fashion-mnist'"):
        read_source("fashion-mnits")
    with pytest.raises(ConfigError, match="no such file"):
        read_source("missing.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1, 2", encoding="utf-8")
    with pytest.raises(ConfigError, match="not readable as YAML"):
        read_source(str(broken))
    broken.write_text("- 1", encoding="utf-8")
    with pytest.raises(ConfigError, match="expected a mapping"):
        read_source(str(broken))


def test_an_override_is_never_executed():
    with pytest.raises(ConfigError, match="not readable as YAML"):
        parse_override("name=!!python/object/apply:os.system ['true']")


def test_a_mistake_in_one_of_several_models_hides_nothing_of_the_others(tiny_raw):
    tiny_raw["student"]["models"] = [{"name": "resnet14", "widht": 2}, {"name": "resnet20", "pretrained": True}]
    assert find_mistakes(tiny_raw) == [
        "student.models.0.widht: unknown key; did you mean 'width'? Allowed: checkpoint, ema, kwargs, last_layer, "
        "name, pretrained, replace_head, width",
        "student.models.1.pretrained: resnet20 has no published weights; give your own (checkpoint)",
    ]


def test_averaged_weights_are_of_a_file(tiny_raw):
    tiny_raw["teacher"]["model"], tiny_raw["student"]["models"] = (
        {"name": "resnet8", "ema": True}, [{"name": "resnet14", "ema": True}],
    )  # fmt: skip
    assert find_mistakes(tiny_raw) == [
        "teacher.model.ema: is of a checkpoint, and resnet8 has none; give its file (checkpoint)",
        "student.model.ema: is of a checkpoint, and resnet14 has none; give its file (checkpoint)",
    ]


@pytest.mark.parametrize("task", [3, None, ["translation"]])
def test_a_task_that_is_no_text_is_said_once(tiny_raw, task):
    tiny_raw["task"] = task
    (mistake,) = (text for text in find_mistakes(tiny_raw) if text.startswith("task"))
    assert mistake == f"task: should be a valid string (got {task!r})"


class Unready(Task):
    """A task of another package, at odds with all who ask it; without a metric."""

    name = samples = "unready"

    def data_sources(self) -> tuple[str, ...]:
        raise RuntimeError("not today")

    def check_model_name(self, name: str) -> None:
        raise RuntimeError("not today")

    load_data = check = pipeline = new_model = check_model_name  # type: ignore[assignment]


class Ready(Unready):
    metric = TOP1


@pytest.fixture
def of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TASKS, "_known", dict(TASKS._known))
    register_task("ready", Ready)
    register_task("unready", Unready)


def test_what_another_task_raises_troubles_no_one_else(tiny_raw: Any, of_others: None):
    assert find_mistakes(tiny_raw) == []
    tiny_raw["data"]["source"], tiny_raw["student"]["model"] = "fashon_mnist", "resnet9"
    source, model = find_mistakes(tiny_raw)
    assert source.startswith("data.source: unknown data source 'fashon_mnist'; did you mean 'fashion_mnist'?")
    assert model.startswith("student.model.name: unknown model 'resnet9'")


def test_a_task_without_a_metric_is_no_whole_task(tiny_raw: Any, of_others: None):
    (mistake, *_) = find_mistakes(tiny_raw | {"task": "unready"})
    assert mistake.endswith("is not a whole task: it lacks metric")
