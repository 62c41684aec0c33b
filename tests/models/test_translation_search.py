from __future__ import annotations

import pytest
import torch

from tests.models.test_translation import Tokens, small
from tests.models.test_translation_model import random_pairs, train
from tosmooth.errors import ModelError
from tosmooth.models.translation_search import translate

transformers = pytest.importorskip("transformers")
TOKENS = Tokens()


@pytest.fixture(scope="module")
def trained():
    """Knows some of its sixteen pairs, and is unsure of the rest: hypotheses of many lengths compete."""
    torch.manual_seed(0)
    model = small(TOKENS, dropout=0.0)
    share = train(model, *random_pairs(TOKENS, 16), steps=22)
    assert 0.3 < share < 0.95
    return model


@pytest.fixture(scope="module")
def sources():
    known, _ = random_pairs(TOKENS, 16)
    return known[:10] + random_pairs(TOKENS, 12, seed=1)[0]


@pytest.mark.parametrize("beam", [1, 4])
def test_a_batch_translates_as_one_sentence_at_a_time(trained, sources, beam):
    together = translate(trained, TOKENS, sources, beam=beam)
    alone = [translate(trained, TOKENS, [source], beam=beam)[0] for source in sources]
    assert together == alone
    assert translate(trained, TOKENS, sources, beam=beam, batch_tokens=17) == alone
    assert translate(trained, TOKENS, sources[::-1], beam=beam) == alone[::-1]
    assert len(set(map(len, alone))) > 3


@pytest.mark.parametrize("length_penalty", [0.5, 2.0])
def test_the_search_is_the_librarys(trained, sources, length_penalty):
    ours = translate(trained, TOKENS, sources[12:20], beam=4, length_penalty=length_penalty, max_new_tokens=15)
    for source, translation in zip(sources[12:20], ours, strict=True):
        ids = trained.backbone.generate(
            torch.tensor([source]),
            num_beams=4,
            early_stopping=False,
            length_penalty=length_penalty,
            max_new_tokens=15,
            suppress_tokens=[TOKENS.pad, TOKENS.start],
        )[0].tolist()
        assert ids[0] == TOKENS.start
        assert [token for token in ids if token not in (TOKENS.pad, TOKENS.start, TOKENS.eos)] == translation


def test_a_beam_of_one_takes_the_likeliest_token(trained, sources):
    source = torch.tensor([sources[3]])
    said = [TOKENS.start]
    while len(said) < 30 and said[-1] != TOKENS.eos:
        with torch.no_grad():
            logits = trained.backbone(input_ids=source, decoder_input_ids=torch.tensor([said])).logits[0, -1]
        logits[[TOKENS.pad, TOKENS.start]] = -torch.inf
        said.append(int(logits.argmax()))
    assert translate(trained, TOKENS, [sources[3]], beam=1) == [[token for token in said[1:] if token != TOKENS.eos]]


def test_pairs_learnt_by_heart_come_back():
    torch.manual_seed(0)
    model = small(TOKENS, dropout=0.0)
    known, targets = random_pairs(TOKENS, 16)
    assert train(model, known, targets, steps=150) > 0.99
    assert translate(model, TOKENS, known) == [target[:-1] for target in targets]


def test_a_translation_ends_at_its_limit():
    model = small(TOKENS, max_length=14)
    model.last_layer.bias[TOKENS.eos] = -1e4  # never ends by itself
    model.last_layer.bias[[TOKENS.pad, TOKENS.start]] = 1e4  # would be chosen, were they not suppressed
    sources = [[5, 2], [5, 6, 7, 2], [5, 6, 2]]
    assert [len(each) for each in translate(model, TOKENS, sources, beam=2)] == [14, 14, 14]
    assert [len(each) for each in translate(model, TOKENS, sources, beam=2, max_new_tokens=3)] == [3, 3, 3]
    roomy = small(TOKENS, max_length=99)
    roomy.last_layer.bias[TOKENS.eos] = -1e4
    assert [len(each) for each in translate(roomy, TOKENS, sources, beam=2)] == [14, 18, 16]


def test_the_model_is_left_as_it_was(sources):
    model = small(TOKENS, dropout=0.5).train()
    model.backbone.get_encoder().eval()
    model.backbone.generation_config.num_beams = 7
    modes = [module.training for module in model.modules()]
    state = torch.get_rng_state()
    first, again = (translate(model, TOKENS, sources[:3], beam=2) for _ in range(2))
    assert first == again  # no dropout
    assert [module.training for module in model.modules()] == modes
    assert model.backbone.generation_config.num_beams == 7
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_no_sentences_and_wrong_arguments(trained):
    assert translate(trained, TOKENS, []) == []
    with pytest.raises(ModelError, match="sentence 1 has no tokens"):
        translate(trained, TOKENS, [[5, 2], []])
    with pytest.raises(ModelError, match=r"sentence 0 has 40 tokens, .* 32 positions"):
        translate(trained, TOKENS, [[5] * 40])
    for argument in ("beam", "batch_tokens", "max_new_tokens"):
        with pytest.raises(ModelError, match=f"{argument} is 0"):
            translate(trained, TOKENS, [[5, 2]], **{argument: 0})
