from __future__ import annotations

import copy
import random

import pytest
import torch
from torch.nn import functional as F

from tests.models.test_translation import Tokens, small
from tosmooth.models.features import PenultimateFeatures
from tosmooth.models.translation_inputs import TokenInputs

transformers = pytest.importorskip("transformers")


def teacher_forced(sources, targets, tokens: Tokens) -> tuple[TokenInputs, torch.Tensor]:
    """Pairs of lists that end with eos, padded, and the labels (n,) of all target tokens."""
    longest, longest_target = max(map(len, sources)), max(map(len, targets))
    source = torch.full((len(sources), longest), tokens.pad)
    decoder = torch.full((len(sources), longest_target), tokens.pad)
    counts = torch.zeros(len(sources), longest_target, dtype=torch.bool)
    for row, (one, other) in enumerate(zip(sources, targets, strict=True)):
        source[row, : len(one)] = torch.tensor(one)
        decoder[row, : len(other)] = torch.tensor([tokens.start, *other[:-1]])
        counts[row, : len(other)] = True
    labels = torch.tensor([token for target in targets for token in target])
    return TokenInputs(source, source != tokens.pad, decoder, counts.flatten().nonzero().flatten()), labels


def random_pairs(tokens: Tokens, count: int, seed: int = 0) -> tuple[list[list[int]], list[list[int]]]:
    draw = random.Random(seed)

    def sentence() -> list[int]:
        return [draw.randrange(4, tokens.size) for _ in range(draw.randint(3, 9))] + [tokens.eos]

    return [sentence() for _ in range(count)], [sentence() for _ in range(count)]


def train(model, sources, targets, steps: int, lr: float = 3e-3) -> float:
    """Train on all pairs at once; the share of target tokens that the model then puts first."""
    inputs, labels = teacher_forced(sources, targets, Tokens(size=model.num_classes))
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(inputs), labels).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        return float((model(inputs).argmax(1) == labels).float().mean())


@pytest.fixture(scope="module")
def batch():
    return teacher_forced(*random_pairs(Tokens(), 6), Tokens())


def test_logits_are_the_librarys_at_the_selected_positions(batch):
    inputs, labels = batch
    model = small().eval()
    some = inputs._replace(positions=inputs.positions[::2])
    with torch.no_grad():
        everything = model.backbone(
            input_ids=inputs.source, attention_mask=inputs.source_mask, decoder_input_ids=inputs.decoder_inputs
        ).logits.flatten(0, 1)
        assert model(inputs).shape == (len(labels), 40)
        for each in (inputs, some):
            torch.testing.assert_close(model.classify(each), everything[each.positions])
            torch.testing.assert_close(model.last_layer(model.hidden(each)), everything[each.positions])


def test_padding_changes_nothing(batch):
    inputs, _ = batch
    model = small().eval()
    rows = (inputs.positions // inputs.decoder_inputs.shape[1]).bincount().tolist()
    with torch.no_grad():
        together = model(inputs).split(rows)
        for row, logits in enumerate(together):
            source, target = int(inputs.source_mask[row].sum()), rows[row]
            one = slice(row, row + 1)
            alone = TokenInputs(
                inputs.source[one, :source],
                inputs.source_mask[one, :source],
                inputs.decoder_inputs[one, :target],
                torch.arange(target),
            )
            torch.testing.assert_close(model(alone), logits, rtol=1e-5, atol=1e-5)


def test_what_is_padded_with_changes_nothing_and_the_future_is_not_seen(batch):
    inputs, _ = batch
    model = small().eval()
    noise = torch.randint(4, 40, inputs.source.shape)
    other = inputs._replace(source=torch.where(inputs.source_mask, inputs.source, noise))
    first = inputs.positions[inputs.positions % inputs.decoder_inputs.shape[1] < 2]
    later = inputs.decoder_inputs.clone()
    later[:, 2:] = 39
    with torch.no_grad():
        assert torch.equal(model(inputs), model(other))
        torch.testing.assert_close(
            model(inputs._replace(positions=first)), model(inputs._replace(positions=first, decoder_inputs=later))
        )


def test_penultimate_features_make_the_logits(batch):
    inputs, _ = batch
    model = small().eval()
    with torch.no_grad(), PenultimateFeatures(model, 40) as features_of:
        logits, features = features_of(inputs)
        assert features_of.last_layer is model.last_layer
        assert torch.equal(features, model.hidden(inputs))
        torch.testing.assert_close(features @ model.last_layer.weight.T + model.last_layer.bias, logits)


def test_a_copy_is_independent_and_answers_the_same(batch):
    inputs, _ = batch
    model = small().eval()
    model.last_layer.bias.copy_(torch.randn(40))
    other = copy.deepcopy(model)
    with torch.no_grad():
        assert torch.equal(model(inputs), other(inputs))
        other.load_state_dict(small(seed=1).state_dict())
        assert not torch.equal(model(inputs), other(inputs))
    assert other.last_layer.weight is other.backbone.model.shared.weight is not model.last_layer.weight
    assert not other.last_layer.bias.any()
    assert model.last_layer.bias.all()


def test_a_small_model_learns_sixteen_pairs_by_heart():
    tokens = Tokens()
    sources, targets = random_pairs(tokens, 16)
    torch.manual_seed(0)
    model = small(tokens, dropout=0.0)
    table = model.backbone.get_decoder().embed_positions.weight.clone()
    assert train(model, sources, targets, steps=150) > 0.99
    assert torch.equal(table, model.backbone.get_decoder().embed_positions.weight)
    assert model.last_layer.weight is model.backbone.model.shared.weight
    assert not model.last_layer.bias.any()
