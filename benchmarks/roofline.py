"""What routing must cost at least: arithmetic, traffic, and the time both imply.

The arithmetic is that of the algorithm which recomputes the prediction vectors and stores
nothing of their size. With B samples, I inputs of K numbers, J outputs of D numbers and R
iterations, counting a multiply-add as two operations:

- making all prediction vectors, or contracting something of their size with ``u`` or
  ``weight``, is a matrix product: 2 B I K J D;
- a dot product with, or a weighted sum of, all prediction vectors: 2 B I J D.

Softmax, squash and everything of size B I J or B J D are left out: a floor may be too low.
"""

from __future__ import annotations

from benchmarks.shapes import Size

__all__ = ["backward_flops", "bytes_moved", "floor_seconds", "forward_flops"]


def matrix_product_flops(size: Size) -> int:
    """Operations to make all prediction vectors once: 2 B I K J D."""
    return 2 * size.u_hat * size.in_dim


def pass_flops(size: Size) -> int:
    """Operations of one dot product with, or one weighted sum of, all vectors: 2 B I J D."""
    return 2 * size.u_hat


def forward_flops(size: Size, iterations: int) -> int:
    """Operations of a forward pass.

    The first iteration has uniform coefficients and is one matrix product with its sum
    included; each later one makes the prediction vectors, takes their dot products with the
    outputs so far, and sums them with the new coefficients.
    """
    later = iterations - 1
    return iterations * matrix_product_flops(size) + later * 2 * pass_flops(size)


def backward_flops(size: Size, iterations: int, *, detached: bool = False) -> int:
    """Operations of a backward pass, without the forward pass.

    Each later iteration needs the prediction vectors again, two dot products and one sum, to
    get the gradient with respect to the iteration before. One last pass gathers the gradient
    of the prediction vectors out of 2 R - 1 terms and contracts it with ``u`` and ``weight``.
    With detached coefficients only that last pass remains, with a single term.
    """
    products = 2 * matrix_product_flops(size)
    if detached:
        return pass_flops(size) + products
    later = iterations - 1
    per_iteration = matrix_product_flops(size) + 3 * pass_flops(size)
    return later * per_iteration + (2 * iterations - 1) * pass_flops(size) + products


def bytes_moved(size: Size, item_size: int, *, backward: bool) -> int:
    """Bytes that must cross memory: each input read and each result written once per pass."""
    inputs = size.batch * size.inputs * size.in_dim
    weight = size.inputs * size.in_dim * size.outputs * size.out_dim
    outputs = size.batch * size.outputs * size.out_dim
    forward = inputs + weight + outputs
    # Going back, the inputs are read again and gradients of their size written.
    return item_size * (forward + (2 * (inputs + weight) + outputs if backward else 0))


def floor_seconds(
    size: Size,
    iterations: int,
    item_size: int,
    *,
    backward: bool,
    detached: bool,
    flops_per_second: float,
    bytes_per_second: float,
) -> tuple[float, str]:
    """The least time a call can take on a machine, and which of its rates sets it.

    Args:
        size, iterations, detached: the problem.
        item_size: bytes per number.
        backward: a forward and backward pass instead of a forward pass.
        flops_per_second: the machine's rate in large matrix products.
        bytes_per_second: the machine's rate in large copies, bytes read plus bytes written.

    Returns:
        Seconds, and "arithmetic" or "memory".
    """
    flops = forward_flops(size, iterations)
    if backward:
        flops += backward_flops(size, iterations, detached=detached)
    arithmetic = flops / flops_per_second
    memory = bytes_moved(size, item_size, backward=backward) / bytes_per_second
    return (arithmetic, "arithmetic") if arithmetic >= memory else (memory, "memory")
