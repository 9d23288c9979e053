"""Maps of how primary capsules are routed to classes."""

from __future__ import annotations

import pytest
import torch

from fastcaps import reference
from fastcaps.functional import SoftmaxOver
from fastcaps.training.analysis.coupling import coupling_maps
from fastcaps.training.networks import make_network
from fastcaps.training.networks.network import CapsuleNetwork, NetworkOptions

CLASSES = 3


@pytest.mark.parametrize("softmax_over", ["outputs", "inputs"])
@pytest.mark.parametrize("bias", [False, True])
def test_maps_are_those_of_the_reference(softmax_over: SoftmaxOver, bias: bool) -> None:
    torch.manual_seed(0)
    options = NetworkOptions(CLASSES, 52, channels=1, softmax_over=softmax_over, capsule_bias=bias)
    network = make_network("AUCapsNet", options).eval()
    assert isinstance(network, CapsuleNetwork)
    if network.classes.bias is not None:
        torch.nn.init.normal_(network.classes.bias)
    images = torch.rand(2, 1, 52, 52)
    found = coupling_maps(network, images)
    assert found.coefficients.shape == found.contributions.shape == (2, CLASSES, 32, 3, 3)
    with torch.no_grad():
        u = network.primary_capsules(images).double()
        weight = network.classes.weight.double()
        own_bias = None if network.classes.bias is None else network.classes.bias.double()
        u_hat = reference.prediction_vectors(u, weight)
        c = reference.coupling_coefficients(
            u,
            weight,
            iterations=network.classes.iterations,
            softmax_over=softmax_over,
            bias=own_bias,
        )
        s = torch.einsum("bij,bijd->bjd", c, u_hat)
    # Primary capsule (type, row, column) is number (type * 3 + row) * 3 + column.
    for kind, row, column in ((0, 0, 0), (5, 1, 2), (31, 2, 0)):
        number = (kind * 3 + row) * 3 + column
        torch.testing.assert_close(
            found.coefficients[:, :, kind, row, column].double(), c[:, number], atol=1e-5, rtol=1e-4
        )
        share = (c[:, number, :, None] * u_hat[:, number] * s).sum(-1) / s.norm(dim=-1)
        torch.testing.assert_close(
            found.contributions[:, :, kind, row, column].double(), share, atol=1e-5, rtol=1e-4
        )
    torch.testing.assert_close(
        found.contributions.sum((2, 3, 4)).double(), s.norm(dim=-1), atol=1e-4, rtol=1e-4
    )
