"""The fused linear loss against the plain one, and on a GPU against Liger's: `python -m benchmarks.fused`.

Time and peak extra memory of one forward and backward pass (hidden states → loss → gradients), each in a process of its
own. On a CPU, `--all 1` runs all sizes.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import psutil
import torch

from benchmarks.common import Result, arguments, compute_of, installed, synchronize
from benchmarks.memory import in_process, peak_extra

WIDTH = 512
SIZES = [(n, k) for k in (4_096, 32_768, 131_072) for n in (256, 4_096, 16_384)]
SHORT = [(256, 4_096), (4_096, 4_096), (4_096, 32_768), (256, 131_072)]


def case(how: str, n: int, k: int, repeats: int) -> dict[str, Any]:
    """Median seconds and peak bytes of one size."""
    device = compute_of().device
    torch.manual_seed(0)
    half = torch.bfloat16 if device.type == "cuda" else torch.float32
    hidden = torch.randn(n, WIDTH, device=device, dtype=half, requires_grad=True)
    weight = (0.05 * torch.randn(k, WIDTH, device=device, dtype=half)).requires_grad_()
    teacher, teacher_weight = torch.randn_like(hidden), 0.05 * torch.randn_like(weight)
    call = _call(how)

    def once() -> None:
        hidden.grad = weight.grad = None
        call(hidden, weight, teacher, teacher_weight).backward()

    extra = peak_extra(once, device)  # the first call: nothing is left in the allocator's pools yet
    seconds = []
    for _ in range(repeats):
        synchronize()
        started = time.perf_counter()
        once()
        synchronize()
        seconds.append(time.perf_counter() - started)
    return {"seconds": statistics.median(seconds), "bytes": extra}


def _call(how: str) -> Any:
    if how == "fused":
        from tosmooth.losses.fused_linear import fused_linear_distillation

        return lambda h, w, t, v: fused_linear_distillation(h, w, t, v, 2.0)
    if how == "plain":
        from tosmooth.losses.distillation import distillation_loss

        return lambda h, w, t, v: distillation_loss(h @ w.T, t @ v.T, 2.0)
    from liger_kernel.transformers import LigerFusedLinearJSD

    # β = 0 is the forward KL divergence; Liger does not multiply by T².
    liger = LigerFusedLinearJSD(jsd_beta=0.0, temperature=2.0)
    return lambda h, w, t, v: liger(h, w, t, v)


def main() -> None:
    options = arguments(__doc__ or "", all=0, repeats=3)
    compute = compute_of()
    cuda = compute.device.type == "cuda"
    memory = torch.cuda.mem_get_info()[1] if cuda else psutil.virtual_memory().total
    liger = cuda and installed("liger-kernel") is not None
    columns = ["N", "K", "loss", "seconds", "MiB", "time / plain", "memory / plain"]
    result = Result("fused", f"Distillation from hidden states, D = {WIDTH}, T = 2, forward and backward", columns)
    for n, k in SIZES if options.all or cuda else SHORT:
        fits = 10 * 4 * n * k < memory  # the plain loss holds about ten arrays of that size
        found = {"fused": in_process("benchmarks.fused", how="fused", n=n, k=k, repeats=options.repeats)}
        if fits:
            found["plain"] = in_process("benchmarks.fused", how="plain", n=n, k=k, repeats=options.repeats)
        if liger:
            found["liger"] = in_process("benchmarks.fused", how="liger", n=n, k=k, repeats=options.repeats)
        plain = found.get("plain", {})
        for how, one in found.items():
            if "error" in one:
                result.add(n, k, how, one["error"][:40], None, None, None)
                continue
            ratios = [one[x] / plain[x] if plain.get(x) else None for x in ("seconds", "bytes")]
            result.add(n, k, how, one["seconds"], one["bytes"] / 2**20, *ratios)
        if not fits:
            result.add(n, k, "plain", "does not fit", None, None, None)
    if not cuda:
        result.notes.append("Liger's kernels need a GPU and were not run")
    result.finish(compute)


if __name__ == "__main__":
    main()
