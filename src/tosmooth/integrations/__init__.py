"""tosmooth within other libraries' training loops: transformers, Lightning, timm and torchmetrics.

Each library is imported when its module is: ``from tosmooth.integrations.transformers import DistillationTrainer``.
"""
