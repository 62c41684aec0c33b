"""What two processes of one run send each other in a step, counted by the system's loopback device."""

from __future__ import annotations

import os
import socket
from typing import Any

import psutil
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from benchmarks.workload import heavy_grid

STEPS = 5


def _sent() -> int:
    return int(psutil.net_io_counters(pernic=True)["lo"].bytes_sent)


def _rank(rank: int, world: int, port: int, answer: Any) -> None:
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=world)
    work = heavy_grid("torchvision:resnet18", 1)
    model = work.build(work.student, 0)
    wrapped = nn.parallel.DistributedDataParallel(model.backbone)
    images = torch.randn(4, 3, 32, 32)
    before = 0
    for step in range(STEPS + 2):  # the first two arrange the buckets
        if step == 2:
            dist.barrier()
            before = _sent()
        wrapped(images).sum().backward()
    dist.barrier()
    if rank == 0:
        buffers = sum(b.numel() * b.element_size() for b in model.backbone.buffers())
        parameters = sum(p.numel() for p in model.backbone.parameters())
        answer.put({"bytes": (_sent() - before) / STEPS / world, "parameters": parameters, "buffers": buffers})
    dist.destroy_process_group()


def traffic(ranks: int) -> dict[str, Any]:
    """Bytes that each of `ranks` processes sends in one step of a ResNet-18 under DistributedDataParallel."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    answer = mp.get_context("spawn").SimpleQueue()
    mp.spawn(_rank, (ranks, port, answer), nprocs=ranks)  # type: ignore[no-untyped-call]
    found: dict[str, Any] = answer.get()
    return found
