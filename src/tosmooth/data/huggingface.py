"""Hugging Face image data sets: from the hub, or from a local folder."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tosmooth.data.base import ImageSplit, RawImages
from tosmooth.data.files import decoded, is_turned, stated_size
from tosmooth.data.parting import parted
from tosmooth.data.registry import SourceRequest, register_image_source
from tosmooth.data.row_labels import RowClasses
from tosmooth.data.split_names import Kind, kind_of
from tosmooth.errors import DataError, did_you_mean

OPTIONS = (
    "dataset", "config", "image_column", "label_column", "train_split", "validation_split", "test_split",
)  # fmt: skip
USUAL_LABELS = {"label", "labels", "class", "classes", "category", "target", "y"}
SHOWN = 5
# Readers of the library that take a folder, rather than data sets.
_READERS = ("imagefolder", "parquet")


class RowSplit(ImageSplit):
    """One split of a data set: an image column, decoded row by row, and a column of class labels."""

    def __init__(self, rows: Any, image_column: str, labels: np.ndarray[Any, Any], name: str) -> None:
        self.rows = rows
        self.image_column = image_column
        self.labels = torch.as_tensor(labels, dtype=torch.int64)
        self.name = name

    def __getitem__(self, index: int) -> Tensor:
        if (source := self._source(index)) is None:
            raise DataError(f"{self.describe(index)}: no image in column {self.image_column!r}")
        return decoded(source, self.describe(index))

    def size_of(self, index: int) -> tuple[int, int] | None:
        """What the beginning of the image says; None where it cannot be read."""
        return None if (source := self._source(index)) is None else stated_size(source)

    def is_turned(self, index: int) -> bool:
        """What EXIF says."""
        return (source := self._source(index)) is not None and is_turned(source)

    def _source(self, index: int) -> Path | io.BytesIO | None:
        value = self.rows[index][self.image_column]
        if not value or (value["bytes"] is None and value["path"] is None):
            return None
        return io.BytesIO(value["bytes"]) if value["bytes"] is not None else Path(value["path"])

    def describe(self, index: int) -> str:
        """The row of the split."""
        return f"row {index} of the {self.name} split"

    def digest(self, *, with_times: bool = False) -> str:
        """The library's own fingerprint of the rows, with the labels."""
        return f"{self.rows._fingerprint}{super().digest()}"


def load_dataset(
    options: Mapping[str, Any],
    path: Path | None,
    *,
    source: str = "huggingface",
    extra: str = "hf",
    readers: Sequence[str] = _READERS,
) -> Any:
    """The library's `DatasetDict` of the options `dataset` and `config`, or of a folder.

    Args:
        options: of the source.
        path: folder; None = the hub.
        source, extra: the source's name and the extra that installs its libraries, for messages.
        readers: what `dataset` may be beside a path.

    Raises:
        DataError: the library is missing, or there is no such data set.
    """
    try:
        import datasets
    except ImportError:
        raise DataError(f'the source {source!r} needs the datasets library: pip install "tosmooth[{extra}]"') from None
    dataset, config = options.get("dataset"), options.get("config")
    if path is None and dataset is None:
        raise DataError(f"the source {source!r} needs data.options.dataset (a name on the hub) or data.path (a folder)")
    if path is None and Path(str(dataset)).expanduser().is_dir():
        path, dataset = Path(str(dataset)).expanduser(), None
    if path is not None and dataset is not None and dataset not in readers:
        raise DataError(
            f"data.options.dataset: {dataset!r} and data.path {path} are two data sets; give one "
            f"(beside a path, only {' or '.join(readers)} say how to read it)"
        )
    try:
        if path is None:
            found = datasets.load_dataset(str(dataset), config)
        elif (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
            found = datasets.load_from_disk(str(path))
        elif dataset is not None:
            found = datasets.load_dataset(str(dataset), config, data_dir=str(path))
        else:
            # A plain folder: parquet files, or images in class folders, recognised by the library.
            found = datasets.load_dataset(str(path), config)
    except Exception as error:  # the library raises its own and the network's
        where = path or f"data.options.dataset {dataset!r}"
        raise DataError(f"{where}: cannot be loaded as a data set: {type(error).__name__}: {error}") from None
    if isinstance(found, datasets.Dataset):
        return datasets.DatasetDict({"train": found})
    if not isinstance(found, datasets.DatasetDict):
        raise DataError(
            f"{path or dataset}: {type(found).__name__}; expected a data set with the splits train and test"
        )
    return found


def splits_not_known(found: Iterable[str]) -> DataError:
    """What to say where training or test cannot be told among these splits."""
    return DataError(
        f"the data set has the splits {', '.join(found)}; expected train and test (or validation), "
        "or data.options.train_split and test_split that name them"
    )


def split_names(found: Any, options: Mapping[str, Any]) -> tuple[str, str | None, str | None]:
    """Names of the training, validation and test splits.

    Splits are known by the usual names, in any case, where the options do not name them. A validation split without a
    test split is the test split.

    Raises:
        DataError: there is none for training, the options name one that is not there, or one serves twice.
    """

    def named(option: str, kind: Kind, first: str) -> str | None:
        given = options.get(option)
        if given is not None and given not in found:
            raise DataError(f"data.options.{option}: no split {given!r}; {did_you_mean(str(given), found)}")
        names = [name for name in found if kind_of(name) == kind]
        if given is not None or not names:
            return given
        if first not in names and len(names) > 1:
            raise DataError(f"data.options.{option}: {' and '.join(names)} may both be meant; name one")
        return first if first in names else names[0]

    train, test = named("train_split", "train", "train"), named("test_split", "test", "test")
    validation = named("validation_split", "val", "validation")
    if test is None and "validation_split" not in options:
        test, validation = validation, None
    if train is None:
        raise splits_not_known(found)
    if validation == test and "test_split" in options and "validation_split" not in options:
        validation = None  # a split named validation was asked for as the test split
    serving = [name for name in (train, validation, test) if name is not None]
    if len(set(serving)) < len(serving):
        raise DataError(f"data.options: one split cannot serve twice (train {train}, validation {validation}, {test})")
    return train, validation, test


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
    """A data set by its hub name (`data.options.dataset`), or from `data.path`.

    A path holds a data set saved to disk, parquet files, or images in class folders.
    Options: dataset, config, image_column, label_column, train_split, validation_split, test_split. Columns are found
    by their type (Image, ClassLabel) where there is one of each; labels may also be names, or any whole numbers.
    A split named validation serves as validation if there is a test split too, and as test otherwise; training alone is
    parted as class folders are. Declared classes that training lacks, and a test split without labels, are left out and
    named.

    Raises:
        DataError: the library is missing, there is no such data set, split or column, or a label that training lacks.
    """
    options = dict(request.options)
    unknown = [key for key in options if key not in OPTIONS]
    if unknown:
        raise DataError(f"data.options: unknown option {unknown[0]!r}; {did_you_mean(unknown[0], OPTIONS)}")
    found = load_dataset(options, request.path.expanduser() if request.path is not None else None)
    import datasets

    train_name, validation_name, test_name = split_names(found, options)
    beside = [name for name in found if name not in {train_name, validation_name, test_name}]
    train = found[train_name]
    features = train.features
    images = [name for name, kind in features.items() if isinstance(kind, datasets.Image)]
    labels = [name for name, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
    image_column = _column(train, options.get("image_column"), "image", images)
    label_column = _column(train, options.get("label_column"), "label", labels or _like_labels(features, images))
    if not isinstance(features[image_column], datasets.Image):
        hint = did_you_mean(image_column, images)
        raise DataError(f"data.options.image_column: column {image_column!r} does not hold images; {hint}")

    classes = RowClasses.of(train, label_column, train_name)

    def split(name: str) -> RowSplit:
        rows = found[name]
        for column in (image_column, label_column):
            if column not in rows.column_names:
                raise DataError(f"the {name} split has no column {column!r}, which {train_name} has")
        there, here = (getattr(part.features[label_column], "names", None) for part in (rows, train))
        if there is not None and here is not None and there != here:
            raise DataError(f"column {label_column!r}: the {name} split has other classes than {train_name}")
        encoded = rows.cast_column(image_column, datasets.Image(decode=False))
        return RowSplit(encoded, image_column, classes.labels(rows, label_column, name), name)

    unread = [f"not read, as no split: {', '.join(beside)}"] if beside else []
    if classes.unused:
        listed = ", ".join(classes.unused[:SHOWN]) + (", …" if len(classes.unused) > SHOWN else "")
        unread.append(f"{len(classes.unused)} declared classes without a training image left out: {listed}")
    if (
        test_name is not None
        and "test_split" not in options
        and classes.all_missing(found[test_name], label_column, test_name)
    ):
        unread.append(f"the {test_name} split left out: its {len(found[test_name]):,} rows have no labels")
        test_name, validation_name = validation_name, None
    trained = split(train_name)
    if test_name is None:
        places = [f"class {name} of the {train_name} split" for name in classes.names]
        made = parted(trained, classes.names, f"the rows of {train_name}", places)
    else:
        validation = split(validation_name) if validation_name else None
        made = RawImages(trained, split(test_name), classes.names, validation=validation)
    return replace(made, unread=tuple(unread))


def _like_labels(features: Mapping[str, Any], images: Sequence[str]) -> list[str]:
    """Columns of names or whole numbers that may hold labels: the only one, or that of a usual name."""
    plain = [
        name
        for name, kind in features.items()
        if name not in images
        and str(getattr(kind, "dtype", "")).lstrip("u").startswith(("int", "string", "large_string", "bool"))
    ]
    usual = [name for name in plain if name.lower() in USUAL_LABELS]
    return usual if len(usual) == 1 else plain
