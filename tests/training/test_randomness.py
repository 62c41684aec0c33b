from __future__ import annotations

import torch

from tosmooth.training.randomness import RandomStream


def test_a_stream_goes_on_where_it_stopped_and_leaves_the_outside_untouched():
    torch.manual_seed(1)
    undisturbed = torch.rand(4)
    torch.manual_seed(7)
    whole = torch.rand(6)

    torch.manual_seed(1)
    stream = RandomStream(7)
    with stream:
        first = torch.rand(2)
    outside = torch.rand(4)
    with stream:
        rest = torch.rand(4)
    assert torch.equal(outside, undisturbed)
    assert torch.equal(torch.cat([first, rest]), whole)


def test_the_outside_is_restored_after_an_error():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    try:
        with RandomStream(0):
            torch.rand(100)
            raise KeyError
    except KeyError:
        pass
    assert torch.equal(torch.rand(3), expected)


def test_the_generator_of_an_apple_gpu_is_seeded_and_swapped_as_well(monkeypatch):
    """With a generator of the CPU in its place: there is no Apple GPU here."""
    theirs, real = torch.Generator().manual_seed(1), torch.Generator
    monkeypatch.setattr(torch, "Generator", lambda device="cpu": real())
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda: theirs.get_state())
    monkeypatch.setattr(torch.mps, "set_rng_state", lambda state: theirs.set_state(state))
    whole, undisturbed = (torch.rand(4, generator=real().manual_seed(seed)) for seed in (7, 1))

    stream = RandomStream(7, torch.device("mps"))
    with stream:
        first = torch.rand(2, generator=theirs)
    outside = torch.rand(4, generator=theirs)
    resumed = RandomStream(0, torch.device("mps"))
    resumed.go_to(stream.state())
    with resumed:
        rest = torch.rand(2, generator=theirs)
    assert torch.equal(outside, undisturbed)
    assert torch.equal(torch.cat([first, rest]), whole)
