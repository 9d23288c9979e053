"""Capsule layers as ``nn.Module``: drop them between the layers of any network."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fastcaps import arguments, functional
from fastcaps.backends import check_backend
from fastcaps.functional import SoftmaxOver

__all__ = ["CapsuleLinear", "PrimaryCapsules"]

ASSUMED_LENGTH = 0.5
"""The length of an input capsule for which :class:`CapsuleLinear` is initialised."""

Pair = int | tuple[int, int]


class PrimaryCapsules(nn.Module):
    """The first capsule layer: a convolution whose channels are grouped into capsules.

    Sabour et al. (2017), section 4. At every position of the feature map there are
    ``capsules`` capsules of ``dim`` components; all are squashed.

    Channel ``capsule * dim + component`` of the convolution is that component of that capsule.
    Output capsule ``(capsule * H + y) * W + x`` is the one at row y, column x of the H x W
    feature map: the maps follow each other, each row by row.

    Args:
        in_channels: channels of the input image or feature map.
        capsules: capsules at each position.
        dim: components of a capsule.
        kernel_size, stride, padding, dilation, bias: as in :class:`torch.nn.Conv2d`.
        backend: see :mod:`fastcaps.functional`.
        device, dtype: of the parameters.

    Input: [B, in_channels, H_in, W_in]. Output: [B, capsules * H * W, dim], lengths in [0, 1).

    Raises:
        TypeError, ValueError: a size is not a positive int, or the backend is unknown.
    """

    def __init__(
        self,
        in_channels: int,
        capsules: int,
        dim: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair | str = 0,
        dilation: Pair = 1,
        bias: bool = True,
        *,
        backend: str | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        for name, size in (("in_channels", in_channels), ("capsules", capsules), ("dim", dim)):
            arguments.check_positive_int(name, size)
        _check_pair("kernel_size", kernel_size, smallest=1)
        _check_pair("stride", stride, smallest=1)
        _check_pair("dilation", dilation, smallest=1)
        if not isinstance(padding, str):
            _check_pair("padding", padding, smallest=0)
        _check_bool("bias", bias)
        if backend is not None:
            check_backend(backend)
        self.capsules = capsules
        self.dim = dim
        self.backend = backend
        self.conv = nn.Conv2d(
            in_channels,
            capsules * dim,
            kernel_size,
            stride,
            padding,
            dilation,
            bias=bias,
            device=device,
            dtype=dtype,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Feature maps [B, in_channels, H_in, W_in] -> capsules [B, capsules * H * W, dim]."""
        arguments.check_tensor("x", x)
        arguments.check_shape("x", x, ("B", self.conv.in_channels, "H", "W"))
        if not arguments.autocast_is_on(x):
            arguments.check_like("x", x, "the layer's parameters", self.conv.weight)
        self._map_size("x", *x.shape[2:])
        s = self.conv(x).unflatten(1, (self.capsules, self.dim))  # [B, capsules, dim, H, W]
        return functional.squash(s.permute(0, 1, 3, 4, 2).flatten(1, 3), backend=self.backend)

    def output_capsules(self, height: int, width: int) -> int:
        """How many capsules an input of ``height`` x ``width`` pixels gives.

        Raises:
            TypeError: a size is not an int.
            ValueError: the input is smaller than the kernel.
        """
        arguments.check_positive_int("height", height)
        arguments.check_positive_int("width", width)
        rows, columns = self._map_size("height, width", height, width)
        return self.capsules * rows * columns

    def extra_repr(self) -> str:
        """The arguments that the convolution's own line does not show."""
        return _describe(
            f"capsules={self.capsules}, dim={self.dim}", {"backend": (self.backend, None)}
        )

    def _map_size(self, name: str, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the feature map of an input of this size, called ``name``."""
        if self.conv.padding == "same":  # which torch allows for a stride of 1 only
            return height, width
        padding = (0, 0) if isinstance(self.conv.padding, str) else self.conv.padding
        rows, columns = (
            (size + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
            for size, pad, dilation, kernel, stride in zip(
                (height, width),
                padding,
                self.conv.dilation,
                self.conv.kernel_size,
                self.conv.stride,
                strict=True,
            )
        )
        if rows < 1 or columns < 1:
            raise ValueError(
                f"{name}: expected an input at least as large as the kernel "
                f"{self.conv.kernel_size}, got {height} x {width}"
            )
        return rows, columns


class CapsuleLinear(nn.Module):
    """A fully connected capsule layer with routing by agreement.

    Every input capsule predicts every output capsule through a matrix of its own, and routing
    decides which predictions count: :func:`fastcaps.functional.routed_capsules`. Sabour et al.
    (2017), section 2 and procedure 1.

    **Initialisation.** The weight is normal with a standard deviation that gives sensible sums
    whatever the sizes; bias and prior start at 0. In the first iteration every coupling
    coefficient is c = 1/N_out (softmax over outputs) or c = 1/N_in (over inputs), so for input
    capsules of length l and weights of standard deviation w

    - the weighted sum has length ``|s| = w l sqrt(D_out sum_i c^2)`` (root mean square), and
    - one agreement step adds ``w^2 l^2 (sum_i c) v`` to it, since logits and predictions share
      their randomness.

    The first should start near 0.5: there squash passes on the most gradient, while at length 0
    it passes none and far above 1 little. The second should not be larger than v itself, or
    the iterations saturate every capsule before anything is learnt. Both hold for capsules of
    length l = 0.5, hence also ``|s| <= 1`` at l = 1, with

        ``w = min(0.5 / sqrt(D_out sum_i c^2), 1 / sqrt(sum_i c)) / 0.5``

    where the sums are N_in / N_out^2 and N_in / N_out over outputs, 1 / N_in and 1 over inputs.
    For 1152 capsules of 8 to 10 of 16 over outputs that is 0.074. Over inputs it is usually 2,
    which is why implementations that normalise over inputs can start from a standard normal
    weight and those that normalise over outputs cannot.

    Args:
        in_capsules, in_dim: N_in and D_in.
        out_capsules, out_dim: N_out and D_out.
        iterations, softmax_over, detach_routing: see :func:`fastcaps.functional.dynamic_routing`.
        bias: whether to learn a bias [N_out, D_out], added to the sums in every iteration.
        prior: whether to learn the initial routing logits [N_in, N_out].
        backend: see :mod:`fastcaps.functional`.
        device, dtype: of the parameters.

    Attributes:
        weight: [N_in, D_in, N_out, D_out].
        bias: [N_out, D_out] or None.
        prior: [N_in, N_out] or None.

    Input: [B, N_in, D_in]. Output: [B, N_out, D_out], lengths in [0, 1).

    Raises:
        TypeError, ValueError: an argument is of the wrong type or out of range.
    """

    bias: nn.Parameter | None
    prior: nn.Parameter | None

    def __init__(
        self,
        in_capsules: int,
        in_dim: int,
        out_capsules: int,
        out_dim: int,
        iterations: int = 3,
        softmax_over: SoftmaxOver = "outputs",
        *,
        bias: bool = False,
        prior: bool = False,
        detach_routing: bool = False,
        backend: str | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        for name, size in (
            ("in_capsules", in_capsules),
            ("in_dim", in_dim),
            ("out_capsules", out_capsules),
            ("out_dim", out_dim),
            ("iterations", iterations),
        ):
            arguments.check_positive_int(name, size)
        arguments.check_softmax_over(softmax_over)
        for name, flag in (("bias", bias), ("prior", prior), ("detach_routing", detach_routing)):
            _check_bool(name, flag)
        if backend is not None:
            check_backend(backend)
        self.in_capsules = in_capsules
        self.in_dim = in_dim
        self.out_capsules = out_capsules
        self.out_dim = out_dim
        self.iterations = iterations
        self.softmax_over = softmax_over
        self.detach_routing = detach_routing
        self.backend = backend
        self.weight = nn.Parameter(
            torch.empty(in_capsules, in_dim, out_capsules, out_dim, device=device, dtype=dtype)
        )
        self.bias = (
            nn.Parameter(torch.empty(out_capsules, out_dim, device=device, dtype=dtype))
            if bias
            else None
        )
        self.prior = (
            nn.Parameter(torch.empty(in_capsules, out_capsules, device=device, dtype=dtype))
            if prior
            else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise all parameters afresh, as the class describes."""
        if self.softmax_over == "outputs":
            sum_c = self.in_capsules / self.out_capsules
            sum_c2 = self.in_capsules / self.out_capsules**2
        else:
            sum_c = 1.0
            sum_c2 = 1 / self.in_capsules
        sum_of_half = 0.5 / math.sqrt(self.out_dim * sum_c2)
        calm_agreement = 1 / math.sqrt(sum_c)
        nn.init.normal_(self.weight, std=min(sum_of_half, calm_agreement) / ASSUMED_LENGTH)
        for zero in (self.bias, self.prior):
            if zero is not None:
                nn.init.zeros_(zero)

    def forward(self, u: Tensor) -> Tensor:
        """Input capsules [B, N_in, D_in] -> output capsules [B, N_out, D_out]."""
        self._check_input(u)
        return functional.routed_capsules(
            u,
            self.weight,
            iterations=self.iterations,
            softmax_over=self.softmax_over,
            bias=self.bias,
            prior=self.prior,
            detach_routing=self.detach_routing,
            backend=self.backend,
        )

    def coupling_coefficients(self, u: Tensor) -> Tensor:
        """Coefficients [B, N_in, N_out] of the last iteration for u [B, N_in, D_in].

        For analysis: they carry no gradient.
        """
        self._check_input(u)
        return functional.coupling_coefficients(
            u,
            self.weight,
            iterations=self.iterations,
            softmax_over=self.softmax_over,
            bias=self.bias,
            prior=self.prior,
            backend=self.backend,
        )

    def extra_repr(self) -> str:
        """The sizes, and the options that differ from their defaults."""
        sizes = (
            f"in_capsules={self.in_capsules}, in_dim={self.in_dim}, "
            f"out_capsules={self.out_capsules}, out_dim={self.out_dim}, "
            f"iterations={self.iterations}, softmax_over={self.softmax_over!r}"
        )
        options = {
            "bias": (self.bias is not None, False),
            "prior": (self.prior is not None, False),
            "detach_routing": (self.detach_routing, False),
            "backend": (self.backend, None),
        }
        return _describe(sizes, options)

    def _check_input(self, u: Tensor) -> None:
        arguments.check_tensor("u", u)
        arguments.check_shape("u", u, ("B", self.in_capsules, self.in_dim))


def _describe(sizes: str, options: Mapping[str, tuple[object, object]]) -> str:
    """``sizes`` and those options, given as (value, default), that are not at their default."""
    changed = [
        f"{name}={value!r}" for name, (value, default) in options.items() if value != default
    ]
    return ", ".join([sizes, *changed])


def _check_bool(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{name}: expected a bool, got {type(value).__name__}")


def _check_pair(name: str, value: object, smallest: int) -> None:
    sizes = value if isinstance(value, tuple) else (value,) * 2
    if len(sizes) != 2 or not all(
        isinstance(size, int) and not isinstance(size, bool) for size in sizes
    ):
        raise TypeError(f"{name}: expected an int or a pair of ints, got {value!r}")
    if min(sizes) < smallest:
        raise ValueError(f"{name}: expected at least {smallest}, got {value!r}")
