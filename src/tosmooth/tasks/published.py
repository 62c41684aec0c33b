"""The paper's published tables of one kind of study: which are its own, and what sets a study apart from them."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any

IMAGENET_CLASSES = 1000
SYNSET = re.compile(r"n\d{8}")
PIXELS = 224


class Published(ABC):
    """The tables of one kind of study.

    Attributes:
        kind: of the rows in `paper_results.csv`.
        column: of the figure there.
        datasets: titles by the names that the data sets have there.
        others: what the tables beside the first are called.
        aside: what to know beside tables of other data than the study's; empty: nothing.
        selected: whether the paper chose epochs on the set that it reports.
        epochs: of the authors' teachers and students, by data set, where they are known.
    """

    kind: str
    column: str
    datasets: Mapping[str, str]
    others: str
    aside: str = ""
    selected: bool = False
    epochs: Mapping[str, tuple[int, int]] = {}

    @abstractmethod
    def dataset(self, config: Mapping[str, Any], classes: Any) -> str | None:
        """The paper's data set that a study was made on, as far as its configuration and classes tell.

        Told by these and not by the study's name: a recipe may be renamed, and names may be anyone's.

        Args:
            config: `study.yaml` as a nested mapping, which may be anyone's.
            classes: names of the followed classes, if the study has come so far.
        """

    def nearer(self, dataset: str, config: Mapping[str, Any]) -> bool:
        """Whether tables of that data set come first beside a study."""
        return False

    @abstractmethod
    def what_differs(self, config: Mapping[str, Any], kept: Collection[str]) -> list[str]:
        """What a reader must know before reading the study against the paper, in sentences.

        Args:
            config: as above.
            kept: selection rules that the study's models were kept by.
        """


class PublishedImages(Published):
    """ImageNet-1K and CUB-200-2011: top-1 accuracy."""

    kind, column, selected = "image", "top1", True
    others = "image tables"
    datasets: Mapping[str, str] = {"imagenet-1k": "ImageNet-1K", "cub-200-2011": "CUB-200-2011"}
    epochs: Mapping[str, tuple[int, int]] = {"imagenet-1k": (90, 200), "cub-200-2011": (90, 200)}

    def dataset(self, config: Mapping[str, Any], classes: Any) -> str | None:
        """By the source, or by the synsets of ImageNet-1K."""
        if section(config, "data").get("source") == "cub200":
            return "cub-200-2011"
        if not isinstance(classes, Sequence) or len(classes) != IMAGENET_CLASSES:
            return None
        return "imagenet-1k" if all(SYNSET.fullmatch(str(name)) for name in classes) else None

    def what_differs(self, config: Mapping[str, Any], kept: Collection[str]) -> list[str]:
        """Which epoch is kept, the size of images, and whether all were used."""
        data = section(config, "data")
        found = [_kept_epoch(kept)]
        if data.get("image_size") != PIXELS:
            own = data.get("image_size") or "their own size"
            found.append(f"The paper’s images have {PIXELS} pixels a side, yours {own}.")
        if data.get("limit_train") or data.get("limit_test"):
            found.append("Yours are of a part of the images.")
        return found


class PublishedTranslations(Published):
    """IWSLT14: BLEU."""

    kind, column = "translation", "bleu"
    others = "translation table"
    aside = (
        "The paper’s students are trained on IWSLT14, which are talks. BLEU depends on the texts, so your figures and "
        "the paper’s are not comparable unless you use the same data, split and tokens; the sample that comes with "
        "tosmooth is not IWSLT. Compare the shape."
    )
    datasets: Mapping[str, str] = {
        "iwslt14-en-de": "IWSLT14 English → German",
        "iwslt14-en-ru": "IWSLT14 English → Russian",
    }

    def dataset(self, config: Mapping[str, Any], classes: Any) -> str | None:
        """By the languages, of texts of one's own."""
        data = section(config, "data")
        text = section(data, "text")
        languages = f"{text.get('source_language')}-{text.get('target_language')}"
        return f"iwslt14-{languages}" if data.get("source") == "parallel_text" else None

    def nearer(self, dataset: str, config: Mapping[str, Any]) -> bool:
        """Tables of the same target language come first."""
        return dataset.endswith(f"-{section(section(config, 'data'), 'text').get('target_language', '')}")

    def what_differs(self, config: Mapping[str, Any], kept: Collection[str]) -> list[str]:
        """Texts, how BLEU is computed, and whether all texts were used."""
        data = section(config, "data")
        part = ["Yours are of a part of the texts."] if data.get("limit_train") or data.get("limit_test") else []
        return [
            "The paper’s texts are the talks of IWSLT14; whether yours are, only you know.",
            "Its BLEU was computed on its own tokens, yours by sacrebleu on the references as they are.",
            *part,
        ]


def section(config: Any, name: str) -> Mapping[str, Any]:
    """A section of a configuration that may be anyone's; empty where it is none."""
    found = config.get(name) if isinstance(config, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _kept_epoch(kept: Collection[str]) -> str:
    if set(kept) == {"best_on_test"}:
        return "Both keep the best epoch on the images that are reported, which flatters both."
    own = "the best epoch on a validation split" if set(kept) == {"best"} else "the last epoch"
    return f"The paper keeps the best epoch on the images that it reports, this study {own}."
