"""How an exported model comes back into tosmooth: a configuration beside the weights, and code."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tosmooth.config.schema import AnalysisConfig, CacheConfig, StudyConfig
from tosmooth.export import state_dict, tokenizer
from tosmooth.tasks.translation_config import TranslationAnalysisConfig, TranslationStudyConfig

if TYPE_CHECKING:
    from tosmooth.export.subject import Subject

STUDY = "study.yaml"
_LIBRARY = {
    "timm": "in timm, by create_model(…, checkpoint_path=…)",
    "torchvision": "in torchvision, by load_state_dict",
}


def portable_config(subject: Subject, formats: Sequence[str]) -> StudyConfig:
    """The study's configuration with this model as teacher and student, and without a path of this machine.

    Args:
        subject: the exported model.
        formats: as they were written; a tokenizer of a local folder lies among them.
    """
    config, section = subject.config, subject.section.without_weights()
    alone = section.model_copy(update={"replace_head": False, "ema": False})
    teacher = {
        "model": alone, "checkpoints": {}, "given": {}, "train": True, "smoothing": "known",
        "outputs": [], "outputs_digest": None, "average": "probabilities",
    }  # fmt: skip
    data: dict[str, Any] = {"path": None, "unlabelled": None, "download": False}
    analysis = AnalysisConfig()
    if isinstance(config, TranslationStudyConfig):
        tokens = {"tokenizer": tokenizer.exported_name(subject, formats)}
        data["text"] = config.data.text.model_copy(update=tokens)
        analysis = TranslationAnalysisConfig(tokens=config.analysis.tokens)
    return config.model_copy(
        update={
            "data": config.data.model_copy(update=data),
            "teacher": config.teacher.model_copy(update=teacher),
            "student": config.student.model_copy(update={"model": alone, "models": []}),
            "analysis": analysis,
            "cache": CacheConfig(),
        }
    )


def command(subject: Subject) -> str:
    """The command that measures the weights again."""
    path = "" if subject.config.data.path is None else " data.path=FOLDER"
    return f"tosmooth evaluate model.safetensors {STUDY}{path} --split validation"


def python(subject: Subject, formats: Sequence[str], hub_folder: str) -> str:
    """Code that loads what was exported, a paragraph a format.

    Args:
        subject: the exported model.
        formats: whose code is wanted.
        hub_folder: where that of the format "huggingface" is, seen from where the code is run.
    """
    return "\n\n".join(filter(None, (_snippet(subject, name, hub_folder) for name in formats)))


def _snippet(subject: Subject, name: str, hub_folder: str) -> str:
    if subject.translates:
        return _translation(subject, name, hub_folder)
    if not subject.classifies:
        return (
            f"""# torch; the weights by the names of the model's own library
import torch
state = torch.load("{state_dict.PYTORCH}", weights_only=True)"""
            if name == "state_dict"
            else ""
        )
    if name in {"safetensors", "state_dict"}:
        return _of_weights(subject, "model.safetensors" if name == "safetensors" else "model.pth")
    if name == "onnx":
        return """# onnxruntime; images: numpy, uint8, (N, C, H, W)
import onnxruntime
session = onnxruntime.InferenceSession("model.onnx")
logits = session.run(["logits"], {"images": images})[0]"""
    if name == "torch_export":
        return """# torch.export; images: tensor, uint8, (N, C, H, W)
import torch
logits = torch.export.load("model.pt2").module()(images)"""
    if subject.model.name.startswith("timm:"):
        return f"""# timm 1.0.16 or newer; images prepared by its own transform
import timm
model = timm.create_model("local-dir:{hub_folder}", pretrained=True).eval()
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))"""
    return f'''# transformers; images: PIL
from transformers import AutoImageProcessor, AutoModelForImageClassification
processor = AutoImageProcessor.from_pretrained("{hub_folder}")
model = AutoModelForImageClassification.from_pretrained("{hub_folder}").eval()
logits = model(**processor(images, return_tensors="pt")).logits'''


def _of_weights(subject: Subject, file: str) -> str:
    section = subject.section
    channels, _, width = subject.images.shape[1:]
    # `repr` writes out whatever could end a line or a string.
    arguments = [repr(section.name), str(subject.data.num_outputs), f"channels={channels}", f"image_size={width}"]
    if section.width is not None:
        arguments.append(f"width={section.width!r}")
    kwargs = dict(section.kwargs)
    if file.endswith(".pth"):  # of which only safetensors has a note
        spec = dataclasses.asdict(subject.classifier.input)
        kwargs |= {"mean": list(spec["mean"]), "std": list(spec["std"])}
        kwargs |= {} if spec["size"] is None else {"input_size": spec["size"]}
    if kwargs:
        arguments.append(f"kwargs={kwargs!r}")
    arguments.append(f"checkpoint=Path({file!r})")
    library = _LIBRARY.get(section.name.partition(":")[0], "")
    note = f"\n# {library}: the names are its own, but the preparation above is then yours to do" if library else ""
    return f"""# tosmooth; images: tensor, uint8, (N, C, H, W){note}
from pathlib import Path
from tosmooth.models.build import build_image_model
model = build_image_model(
    {", ".join(arguments)}
).eval()
logits = model(images)"""


def _translation(subject: Subject, name: str, hub_folder: str) -> str:
    section, text = subject.section, subject.text
    if name == "huggingface":
        lower = "  # lower-case them first" if text.lowercase and text.tokenizer else ""
        return f'''# transformers; texts: a list of sentences{lower}
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained("{hub_folder}")
model = AutoModelForSeq2SeqLM.from_pretrained("{hub_folder}").eval()
found = model.generate(**tokenizer(texts, return_tensors="pt", padding=True))
translations = tokenizer.batch_decode(found, skip_special_tokens=True)'''
    return f"""# tosmooth
from pathlib import Path
from tosmooth.data.translation.vocabulary import load_vocabulary
from tosmooth.models.translation import build_translation_model
from tosmooth.models.translation_search import translate
vocabulary = load_vocabulary(Path("vocabulary"))
model = build_translation_model(
    {section.name!r}, vocabulary, max_length={text.max_length}, kwargs={section.kwargs!r},
    checkpoint=Path("model.safetensors"),
)
translations = [vocabulary.decode(ids) for ids in translate(model, vocabulary, vocabulary.encode(texts))]"""
