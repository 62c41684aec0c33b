"""How a model is trained: the optimiser, the learning rate over epochs, mixed images, the average that is kept."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from tosmooth.config.section import Section
from tosmooth.config.types import Beta, MixingStrength, Positive, PositiveNumber, Weight, finite


class OptimizerConfig(Section):
    """SGD with momentum (the paper's for images), Adam (the paper's for sentences), AdamW, or another one of timm's."""

    name: Literal["sgd", "adam", "adamw", "nadamw", "adopt", "lamb", "lars", "lion"] = Field(
        "sgd", description="sgd, adam, adamw, nadamw, adopt, lamb, lars or lion"
    )
    learning_rate: PositiveNumber = Field(0.1, description="peak learning rate")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of SGD and LARS")
    nesterov: bool = Field(False, description="Nesterov momentum of SGD and LARS")
    betas: Annotated[tuple[Beta, Beta], Field()] = Field(
        (0.9, 0.999), description="of the others, Adam and its kin; lion has (0.9, 0.99) where none are given"
    )
    weight_decay: Annotated[float, Field(ge=0), AfterValidator(finite)] = Field(1e-4, description="weight decay")
    decay_norms_and_biases: bool = Field(
        True,
        description="weight decay on every parameter; false: none on biases, on parameters of one dimension "
        "(normalisation), and on those that a timm model names itself (position embeddings)",
    )
    layer_decay: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="factor of the learning rate from each layer to the one before it, in the layers that timm's "
        "models tell; 0.75, for example; null = one learning rate",
    )

    @model_validator(mode="before")
    @classmethod
    def _betas_of_lion(cls, given: Any) -> Any:
        """Lion's paper has other ones than Adam's."""
        if isinstance(given, dict) and given.get("name") == "lion":
            return {"betas": (0.9, 0.99)} | given
        return given


class ScheduleConfig(Section):
    """The learning rate over epochs: linear warm-up, then cosine, steps, inverse square root, or constant; or one
    cycle."""

    name: Literal["cosine", "step", "inverse_sqrt", "constant", "one_cycle"] = Field(
        "cosine",
        description="cosine, step, inverse_sqrt (of the step, from the end of the warm-up on), constant, or one_cycle "
        "(a cosine up from 1/25 of the peak, and one down to almost 0)",
    )
    warmup_epochs: Annotated[float, Field(ge=0), AfterValidator(finite)] = Field(
        0, description="epochs of linear warm-up; of one_cycle the way up, 30 % of the steps where none is given"
    )
    warmup_steps: Annotated[int, Field(ge=0)] = Field(0, description="the same in steps; the longer of both counts")
    step_epochs: Positive = Field(30, description="epochs between two steps (step)")
    gamma: float = Field(0.1, gt=0, le=1, description="factor of one step (step)")


class MixingConfig(Section):
    """Images mixed in pairs, once a batch, before teacher and students see it (torchvision's MixUp and CutMix)."""

    mixup: MixingStrength = Field(
        0.0, description="MixUp: λ is drawn from Beta(a, a) with this a, often 0.2 or 0.8; 0 = none"
    )
    cutmix: MixingStrength = Field(
        0.0, description="CutMix: the same, usually 1; with both, each batch has one of them, as often as the other"
    )
    probability: Weight = Field(1.0, description="share of the batches that are mixed")

    @property
    def on(self) -> bool:
        """Whether any batch is mixed."""
        return self.probability > 0 and (self.mixup > 0 or self.cutmix > 0)


class MovingAverageConfig(Section):
    """The exponential moving average (EMA) of the weights in training: what is judged, kept, exported, and teaches."""

    decay: float = Field(gt=0, lt=1, description="what a step leaves of the average: average ← decay · average + rest")
    warmup: bool = Field(
        True,
        description="in the s-th step at most 1 − (1 + s)^(−2/3), s from 0, so that the first weights are soon left",
    )
