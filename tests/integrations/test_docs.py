"""The examples of docs/integrations.md run as they stand, and give what their comments say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

TEXT = (Path(__file__).parents[2] / "docs" / "integrations.md").read_text(encoding="utf-8")
EXAMPLES = {
    title: re.findall(r"```python\n(.*?)```", body, flags=re.DOTALL)
    for title, body in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXT, flags=re.DOTALL | re.MULTILINE)
}
GIVES = {
    "Hugging Face: classifiers": lambda names: names["found"]["eval_loss"] > 0,
    "Hugging Face: sentences": lambda names: names["trainer"].state.global_step == 2,
    "Lightning": lambda names: len(names["callback"].history) == 2 and names["callback"].history[0]["eta_s1"] == 0,
    "timm": lambda names: names["result"].keys() == {"loss", "output", "task_loss", "kd_loss"},
    "torchmetrics": lambda names: bool(torch.isfinite(names["eta"].compute())),
    "Any loop": lambda names: names["numbers"]["eta_s1"] == 0 and "ece" in names["numbers"],
}


@pytest.mark.parametrize("title", GIVES)
def test_examples_run_and_stay_short(title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = EXAMPLES[title]
    assert len([line for line in code.splitlines() if line.strip()]) < 17
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(code, "docs/integrations.md", "exec"), names)
    assert GIVES[title](names)


def test_no_example_is_left_out() -> None:
    assert {title for title, found in EXAMPLES.items() if found} == set(GIVES)
