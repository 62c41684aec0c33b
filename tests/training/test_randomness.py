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
