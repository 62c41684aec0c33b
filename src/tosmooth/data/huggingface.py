"""Hugging Face image data sets: from the hub, or from a local folder."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tosmooth.data.base import ImageSplit, RawImages
from tosmooth.data.files import to_rgb
from tosmooth.data.registry import SourceRequest, register_image_source
from tosmooth.errors import DataError, did_you_mean

OPTIONS = (
    "dataset", "config", "image_column", "label_column", "train_split", "validation_split", "test_split",
)  # fmt: skip


class RowSplit(ImageSplit):
    """One split of a data set: an image column, decoded row by row, and a column of class labels."""

    def __init__(self, rows: Any, image_column: str, labels: np.ndarray[Any, Any], name: str) -> None:
        self.rows = rows
        self.image_column = image_column
        self.labels = torch.as_tensor(labels, dtype=torch.int64)
        self.name = name

    def __getitem__(self, index: int) -> Tensor:
        try:
            value = self.rows[index][self.image_column]
            with Image.open(io.BytesIO(value["bytes"]) if value["bytes"] is not None else value["path"]) as image:
                return to_rgb(image)
        except (OSError, SyntaxError, ValueError, TypeError, KeyError) as error:
            raise DataError(f"{self.describe(index)}: image not readable (damaged or truncated?): {error}") from None

    def describe(self, index: int) -> str:
        """The row of the split."""
        return f"row {index} of the {self.name} split"

    def digest(self) -> str:
        """The library's own fingerprint of the rows, with the labels."""
        return f"{self.rows._fingerprint}{super().digest()}"


def _load(dataset: str, config: str | None, path: Path | None) -> Any:
    try:
        import datasets
    except ImportError:
        raise DataError("the source 'huggingface' needs the datasets library: pip install 'tosmooth[hf]'") from None
    try:
        if path is not None and (path / "dataset_dict.json").is_file():
            return datasets.load_from_disk(str(path))
        if path is not None:
            # A plain folder: parquet files, or images in class folders, recognised by the library.
            return datasets.load_dataset(str(path), config)
        return datasets.load_dataset(dataset, config)
    except Exception as error:  # the library raises its own and the network's
        raise DataError(f"{path or dataset}: cannot be loaded as a data set: {type(error).__name__}: {error}") from None


def _column(rows: Any, given: str | None, kind: str, suitable: list[str]) -> str:
    """The column asked for, or the only suitable one."""
    names = list(rows.column_names)
    if given is not None:
        if given not in names:
            raise DataError(f"data.options.{kind}_column: no column {given!r}; {did_you_mean(given, names)}")
        return given
    if len(suitable) != 1:
        raise DataError(
            f"data.options.{kind}_column: cannot tell which column holds the {kind}s "
            f"({'candidates' if suitable else 'columns'}: {', '.join(suitable or names)}); name one"
        )
    return suitable[0]


@register_image_source("huggingface")
def huggingface(request: SourceRequest) -> RawImages:
    """A data set by its hub name (`data.options.dataset`) or from `data.path`.

    Options: dataset, config, image_column, label_column, train_split, validation_split, test_split. Columns are found
        by
    their type (Image, ClassLabel) where there is one of each. A split named validation serves as validation if
    there is a test split too, and as test otherwise.
    """
    options = dict(request.options)
    unknown = [key for key in options if key not in OPTIONS]
    if unknown:
        raise DataError(f"data.options: unknown option {unknown[0]!r}; {did_you_mean(unknown[0], OPTIONS)}")
    if request.path is None and "dataset" not in options:
        raise DataError(
            "the source 'huggingface' needs data.options.dataset (a name on the hub) or data.path (a folder)"
        )
    found = _load(str(options.get("dataset")), options.get("config"), request.path)
    import datasets

    if not isinstance(found, datasets.DatasetDict):
        raise DataError("the data set has no named splits; expected at least train and test")

    def named(option: str, usual: tuple[str, ...]) -> str | None:
        given = options.get(option)
        if given is not None and given not in found:
            raise DataError(f"data.options.{option}: no split {given!r}; {did_you_mean(given, found)}")
        return given or next((name for name in usual if name in found), None)

    train_name, test_name = named("train_split", ("train",)), named("test_split", ("test",))
    validation_name = named("validation_split", ("validation", "valid", "val"))
    if test_name is None:
        test_name, validation_name = validation_name, None
    if train_name is None or test_name is None:
        raise DataError(f"the data set has the splits {', '.join(found)}; expected train and test (or validation)")

    train = found[train_name]
    features = train.features
    images = [name for name, kind in features.items() if isinstance(kind, datasets.Image)]
    labels = [name for name, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
    image_column = _column(train, options.get("image_column"), "image", images)
    label_column = _column(train, options.get("label_column"), "label", labels)
    if not isinstance(features[image_column], datasets.Image):
        raise DataError(f"data.options.image_column: column {image_column!r} does not hold images")
    kind = features[label_column]
    if isinstance(kind, datasets.ClassLabel):
        classes = tuple(kind.names)
    else:
        values = np.asarray(train[label_column])
        if not np.issubdtype(values.dtype, np.integer):
            raise DataError(
                f"data.options.label_column: column {label_column!r} holds {values.dtype}, expected class indices"
            )
        classes = tuple(str(index) for index in range(int(values.max()) + 1))

    def split(name: str) -> RowSplit:
        rows = found[name].cast_column(image_column, datasets.Image(decode=False))
        return RowSplit(rows, image_column, np.asarray(rows[label_column]), name)

    validation = split(validation_name) if validation_name else None
    return RawImages(split(train_name), split(test_name), classes, validation=validation)
