"""Image classification: a sample is an image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tosmooth.config.schema import DataConfig, ModelConfig, StudyConfig
from tosmooth.data.augmentation import eval_transform, train_transform, transformed
from tosmooth.data.registry import IMAGE_SOURCES, image_sources, load_image_data
from tosmooth.errors import ConfigError, DataError, ModelError
from tosmooth.models.names import validate_model_name
from tosmooth.tasks.base import StudyData, Task
from tosmooth.tasks.metric import TOP1
from tosmooth.tasks.published import PublishedImages
from tosmooth.terminal import shortened

if TYPE_CHECKING:  # configurations are read, and reports written, without what trains
    import torch
    from torch import Tensor

    from tosmooth.data.base import ImageData, ImageSplit
    from tosmooth.data.pipeline import ImagePipeline
    from tosmooth.models.image_model import ImageModel

DECODED = 8  # images that a first look decodes
DROPPED = ("drop_rate", "drop_path_rate", "dropout", "stochastic_depth_prob")  # arguments of timm, of torchvision
MEASURED = 2_000  # images whose size it reads


class ImageClassification(Task):
    """Images with one label each, compared by top-1 accuracy."""

    name = "image_classification"
    metric = TOP1
    samples = "images"
    units = "Top-1, top-5 and ECE in percent, NLL in nats."
    published = PublishedImages()
    glossary = (("Top-1", "The share of images for which the class that the model finds likeliest is the right one."),)
    augmented = True
    mixes = True
    takes_unlabelled = True
    takes_outputs = True
    export_formats = ("safetensors", "state_dict", "huggingface", "onnx", "torch_export")
    hub_tag = "image-classification"

    def data_sources(self) -> tuple[str, ...]:
        """Sources of images."""
        return image_sources()

    def check_model_name(self, name: str) -> None:
        """A classifier of some library, or a CIFAR-style ResNet."""
        validate_model_name(name)

    def check_source(self, name: str) -> None:
        """A source of images; what a package adds is loaded."""
        IMAGE_SOURCES.check(name)

    def brings_validation(self, source: str) -> bool:
        """Folders and hub data sets may have three splits."""
        return source in {"folder", "huggingface"}

    def mistakes(self, sections: Mapping[str, Any]) -> Iterable[str]:
        """Sources that read a folder need one, and images that differ in size a transform."""
        if (data := sections.get("data")) is None:
            return
        if data.source in {"folder", "cub200"} and data.path is None:
            yield f"data.path: the source {data.source!r} needs the folder of the data"
        if data.source == "cub200" and data.eval_transform == "none":
            yield "data.eval_transform: images of 'cub200' differ in size and need one; for example resize_center_crop"

    def model_mistakes(self, model: ModelConfig) -> Iterable[tuple[str, str]]:
        """Published weights are of libraries; what is dropped in training is a share."""
        if model.pretrained and ":" not in model.name:
            yield "pretrained", f"{model.name} has no published weights; give your own (checkpoint)"
        for name in DROPPED:
            rate = 0.0 if model.kwargs.get(name) is None else model.kwargs[name]
            if not isinstance(rate, int | float) or isinstance(rate, bool) or not 0 <= rate < 1:
                yield f"kwargs.{name}", f"must be a number of at least 0 and below 1 (got {shortened(repr(rate))})"

    def load_data(self, config: StudyConfig) -> ImageData:
        """Images from the source that the configuration names."""
        section = config.data
        return load_image_data(
            section.source,
            path=section.path,
            validation=section.validation,
            split_seed=section.split_seed,
            download=section.download,
            options=section.options,
            limit_train=section.limit_train,
            limit_test=section.limit_test,
            limit_validation=section.limit_validation,
            skip_unreadable=section.on_error == "skip",
            unlabelled=section.unlabelled,
        )

    def check(self, config: StudyConfig, data: StudyData) -> None:
        """Decode a few images and look at the sizes of many: finding out in the middle of an epoch would be late.

        Batches need one size, and no image may be smaller than a crop.

        And at models whose weights are to be averaged.

        Raises:
            DataError: an image cannot be read, or is smaller than a crop, or images differ in size and no transform
                brings them to one.
            ConfigError: a model with batch normalisation is to be the mean of several epochs; the last layer of one is
                ambiguous.
        """
        self._check_averaged(config, data)
        self._check_last_layers(config, data)
        section = config.data
        labelled = _examples(data.train, section, "training images")
        unlabelled = getattr(data, "unlabelled", None)
        shown = (
            labelled if unlabelled is None else [*labelled, *_examples(unlabelled, section, "images without labels")]
        )
        for key, transform, examples in (
            ("eval_transform", eval_transform(section.eval_transform, section.image_size), labelled),
            ("train_augmentation", train_transform(section.train_augmentation, section.image_size), shown),
        ):
            shapes = {tuple(transformed(image, transform, name).shape) for name, image in examples}
            if len(shapes) > 1:
                advice = "resize_center_crop" if key == "eval_transform" else "imagenet"
                raise DataError(
                    f"data.{key}: {getattr(section, key)!r} leaves images of different size "
                    f"({' and '.join(f'{w} × {h}' for _, h, w in sorted(shapes)[:2])} pixels, for example); "
                    f"set data.image_size=… and data.{key}={advice}"
                )

    def _check_averaged(self, config: StudyConfig, data: StudyData) -> None:
        """Running statistics belong to the weights of one epoch; their mean belongs to no weights at all."""
        from torch.nn.modules.batchnorm import _BatchNorm

        averaged = [("teacher", config.teacher.model)] if config.teacher.average_last > 1 else []
        if config.student.average_last > 1:
            averaged += [("student", section) for section in config.student.all_models]
        for name, section in averaged:
            model = self.new_model(config, data, section.without_weights(), 0)
            if any(isinstance(part, _BatchNorm) for part in model.modules()):
                raise ConfigError(
                    [
                        f"{name}.average_last: {section.name} has batch normalisation, whose statistics cannot be "
                        "averaged with the weights; use 1, or a model without it"
                    ]
                )

    def _check_last_layers(self, config: StudyConfig, data: StudyData) -> None:
        """Models of two heads are told now, and not by the analysis after the training."""
        from tosmooth.models.last_layer import final_layers, find_last_layer

        sections = {"teacher.model": config.teacher.model, "student.model": config.student.model}
        sections |= {f"student.models.{number}": section for number, section in enumerate(config.student.models)}
        mistakes = []
        for key, section in sections.items():
            model = self.new_model(config, data, section.without_weights(), 0)
            if section.last_layer is None and len(final_layers(model, model.num_classes)) < 2:
                continue
            try:
                find_last_layer(model, model.num_classes, section.last_layer)
            except ModelError as error:
                mistakes.append(f"{key}.last_layer: {section.name}: {error}")
        if mistakes:
            raise ConfigError(mistakes)

    def pipeline(
        self, config: DataConfig, data: StudyData, device: torch.device, process: tuple[int, int] = (0, 1)
    ) -> ImagePipeline:
        """Batches of images, augmented."""
        from tosmooth.data.pipeline import ImagePipeline

        return ImagePipeline(config, device, process)

    def new_model(
        self, config: StudyConfig, data: StudyData, section: ModelConfig, seed: int, checkpoint: Path | None = None
    ) -> ImageModel:
        """An image classifier."""
        from tosmooth.models.build import build_image_model

        images = cast("ImageData", data)
        return build_image_model(
            section.name,
            images.num_classes,
            channels=images.channels,
            # The real side of the images, so that a model they are too small for is refused before any training.
            image_size=config.data.image_size or images.width,
            pretrained=section.pretrained,
            checkpoint=checkpoint or section.checkpoint,
            replace_head=section.replace_head,
            ema=section.ema,
            width=section.width,
            kwargs=section.kwargs,
            seed=seed,
        )


def _spread(count: int, most: int) -> range:
    """At most twice `most` indices of `count`, evenly spread."""
    return range(0, count, max(1, count // most))


def _examples(split: ImageSplit, section: DataConfig, name: str) -> list[tuple[str, Tensor]]:
    """Where they come from, and images (C, H, W) of all sizes that a split has, as far as can be told.

    Raises:
        DataError: one of a few cannot be read: what is wrong with all images is wrong with one of these.
    """
    from tosmooth.data.base import readable

    decoded = list(readable(split, _spread(len(split), DECODED), section.on_error == "skip"))
    return _of_extreme_sizes(split) or [(name, image) for image in decoded]


def _of_extreme_sizes(split: ImageSplit) -> list[tuple[str, Tensor]]:
    """Where they come from, and blank images (3, H, W) as narrow, low, wide and high as those of a split."""
    import torch

    sizes: dict[tuple[int, int], int] = {}  # width and height → the first image of that size
    for index in _spread(len(split), MEASURED):
        if (size := split.size_of(index)) is not None:
            sizes.setdefault(size, index)
    sides = (lambda size: size[0], lambda size: size[1])
    chosen = dict.fromkeys(extreme(sizes, key=side) for side in sides for extreme in (min, max)) if sizes else {}
    return [(split.describe(sizes[w, h]), torch.zeros(3, h, w, dtype=torch.uint8)) for w, h in chosen]
