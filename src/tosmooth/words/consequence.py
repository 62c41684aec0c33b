"""What smoothing adds to the effect of raising T, in words."""

from __future__ import annotations

from tosmooth.tasks.metric import capital
from tosmooth.words.convergence import way_gone
from tosmooth.words.wording import Facts, Wording

SENTENCES = {
    ("loss", "apart"): "{Metric} {falls} as classes diffuse, but {missing}: {cost}. Diffusion is not shown to be why.",
    ("loss", "shown"): "{Metric} {falls} with it, as the paper says: {cost}.",
    ("loss", "other"): "{Metric} {falls} all the same: {cost}. What costs {metric} here is not shown to be diffusion.",
    ("gain", "shown"): "{Metric} does not {fall} with it: {cost}.",
    ("gain", "other"): "{Metric} does not {fall} either: {cost}.",
    ("none", "shown"): "It is not shown to cost {metric}: {cost}.",
    ("none", "other"): "Nor is it shown that smoothing changes what raising T does to {metric}: {cost}.",
}
MISSING = {
    "errors": "errors on similar classes do not rise with it",
    "separation": "similar classes do not get harder to tell apart (d′)",
}


def consequence_sentence(facts: Facts, wording: Wording) -> str:
    """Whether accuracy falls where classes diffuse, and by how much; empty where nothing can be said.

    Args:
        facts: `consequence` of `analysis/advice.json`.
        wording: of the study.
    """
    if not facts["rows"]:
        return ""
    metric, base, off = wording.metric, facts["reference_temperature"], facts["farthest_off"]
    if facts["verdict"] is None:
        trained = f" ({wording.training})" if wording.training else ""
        return (
            f"What raising T does to {metric.noun} cannot be told from what the learning rate does: "
            f"{way_gone(off, base)}{trained}."
        )
    alpha, temperature = facts["at"]
    row = next(row for row in facts["rows"] if (row["label_smoothing"], row["temperature"]) == (alpha, temperature))
    trained = f"; {wording.training}" if wording.training else ""
    cost = (
        f"from T = {base:g} to {temperature:g}, smoothing the teacher (α = {alpha:g}) changes what raising T does by "
        f"{row['mean']:+.1f} points (95 % interval {row['low']:+.1f} to {row['high']:+.1f}, "
        f"{row['n']} {facts['unit']}s{trained})"
    )
    explains = "apart" if facts["missing"] else "shown" if facts["diffuses"] else "other"
    text = SENTENCES[facts["verdict"], explains].format(
        cost=cost, metric=metric.noun, Metric=capital(metric.noun), falls=metric.falls, fall=metric.fall,
        missing=" and ".join(MISSING[code] for code in facts["missing"]),
    )  # fmt: skip
    if off is not None:
        left = ", ".join(f"({r['label_smoothing']:g}, {r['temperature']:g})" for r in facts["rows"] if not r["alike"])
        text += f" Left out, as not trained alike: (α, T) = {left}; {way_gone(off, base)}."
    return text
