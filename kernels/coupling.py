"""What the passes over the input capsules share: their tiles, routing logits, gradients.

The prediction vectors never exist. For one output capsule j, and rows (i, k) of the weight,

    u_hat_ij . V_j = sum_k u_ik (W_ik,j . V_j)   and   sum_i c_ij u_hat_ij = (c u)_ik W_ik,j

so a pass is matrix products on tensor cores for every output capsule, and what lies between
them has D_in numbers for each pair (i, j) where u_hat has D_out.

Tiles: vectors [B, D], inputs [B, I * K], weights [I * K, D], products W . V [B, I * K], logits
and coefficients [B, I]. Sizes are padded to powers of two with zeros.
"""

import triton
import triton.language as tl

from fastcaps.kernels.precision import TWO_TERMS

NOISE = tl.constexpr(2.0**-18)
"""Of a logit: by how much it may differ when it is made again, in another order."""


@triton.jit
def input_columns(PADDED_K: tl.constexpr, BLOCK_I: tl.constexpr):
    """The input capsule and the k of every column of a tile of inputs.

    The columns run over pairs of k outermost, then inputs, then the pair. A thread of a tensor
    core's result has pairs of columns, 8 apart: so it has every k of an input, and
    :func:`sum_over_k` needs no other thread. :func:`arrange_kernel` puts u into this order, so
    that it loads in long pieces.
    """
    PAIR: tl.constexpr = 2 if PADDED_K > 1 else 1
    column = tl.arange(0, BLOCK_I * PADDED_K)
    k = column // (PAIR * BLOCK_I) * PAIR + column % PAIR
    return (column // PAIR) % BLOCK_I, k


@triton.jit
def sum_over_k(products, inputs, BLOCK_I: tl.constexpr, PADDED_K: tl.constexpr):
    """``sum_k u_ik (W . V)_ik``: two tiles [B, I * K] -> [B, I]."""
    PAIR: tl.constexpr = 2 if PADDED_K > 1 else 1
    B: tl.constexpr = products.shape[0]
    apart = tl.reshape(products * inputs, [B, PADDED_K // PAIR, BLOCK_I, PAIR])
    return tl.sum(tl.sum(apart, 3), 1)


@triton.jit
def spread_over_k(coefficients, BLOCK_I: tl.constexpr, PADDED_K: tl.constexpr):
    """The coefficient of an input for each of its numbers: [B, I] -> [B, I * K]."""
    PAIR: tl.constexpr = 2 if PADDED_K > 1 else 1
    B: tl.constexpr = coefficients.shape[0]
    apart = coefficients[:, None, :, None]
    wide = tl.broadcast_to(apart, [B, PADDED_K // PAIR, BLOCK_I, PAIR])
    return tl.reshape(wide, [B, PADDED_K * BLOCK_I])


@triton.jit
def capsule_tile(b, i, B, I, K: tl.constexpr, PADDED_K: tl.constexpr, BLOCK_I: tl.constexpr):
    """Offsets in u [B, I, K] of inputs i .. i + BLOCK_I, [B, I * K], and which exist."""
    nearby, k = input_columns(PADDED_K, BLOCK_I)
    exists = (b < B)[:, None] & ((i + nearby < I) & (k < K))[None, :]
    first = b.to(tl.int64)[:, None] * (I * K) + i * K
    return first + (nearby * K + k)[None, :], exists


@triton.jit
def load_inputs(
    arranged, b, i, B, I, PADDED_K: tl.constexpr, BLOCK_I: tl.constexpr, ARRANGED_I: tl.constexpr
):
    """Inputs i .. i + BLOCK_I of samples b, [B, I * K], from what :func:`arrange_kernel` wrote."""
    PAIR: tl.constexpr = 2 if PADDED_K > 1 else 1
    columns = tl.cdiv(I, ARRANGED_I) * (ARRANGED_I * PADDED_K)
    column = tl.arange(0, BLOCK_I * PADDED_K)
    if BLOCK_I < ARRANGED_I:
        run: tl.constexpr = PAIR * BLOCK_I
        column = column // run * (PAIR * ARRANGED_I) + column % run + i % ARRANGED_I * PAIR
    first = b.to(tl.int64)[:, None] * columns + i // ARRANGED_I * (ARRANGED_I * PADDED_K)
    return tl.load(arranged + first + column[None, :], mask=(b < B)[:, None], other=0.0)


@triton.jit
def samples_and_input(I, BLOCK_B: tl.constexpr, BLOCK_I: tl.constexpr):
    """A program's samples [B] and its first input, where tiles of the inputs follow each other."""
    # On one axis, since the others of a grid end at 65535.
    input_tiles = tl.cdiv(I, BLOCK_I)
    b = tl.program_id(0) // input_tiles * BLOCK_B + tl.arange(0, BLOCK_B)
    return b, tl.program_id(0) % input_tiles * BLOCK_I


@triton.jit(do_not_specialize=["B"])
def arrange_kernel(
    u,  # [B, I, K]
    arranged,  # [B, I / ARRANGED_I, PADDED_K / 2, ARRANGED_I, 2], written
    B,
    I,
    K: tl.constexpr,
    PADDED_K: tl.constexpr,
    BLOCK_B: tl.constexpr,
    ARRANGED_I: tl.constexpr,
):
    """u in the order of the tiles' columns, with zeros where there is no input or k."""
    b, i = samples_and_input(I, BLOCK_B, ARRANGED_I)
    element, exists = capsule_tile(b, i, B, I, K, PADDED_K, ARRANGED_I)
    inputs = tl.load(u + element, mask=exists, other=0.0)
    columns = tl.cdiv(I, ARRANGED_I) * (ARRANGED_I * PADDED_K)
    column = tl.arange(0, ARRANGED_I * PADDED_K)
    place = b.to(tl.int64)[:, None] * columns + (i * PADDED_K + column)[None, :]
    tl.store(arranged + place, inputs, mask=(b < B)[:, None])


@triton.jit
def weight_tile(
    i,
    j,
    I,
    K: tl.constexpr,
    J: tl.constexpr,
    D: tl.constexpr,
    PADDED_K: tl.constexpr,
    PADDED_D: tl.constexpr,
    BLOCK_I: tl.constexpr,
):
    """Offsets in weight of inputs i .. i + BLOCK_I, output j: [I * K, D], and which exist."""
    nearby, k = input_columns(PADDED_K, BLOCK_I)
    d = tl.arange(0, PADDED_D)
    exists = ((i + nearby < I) & (k < K))[:, None] & (d < D)[None, :]
    first = tl.cast(i, tl.int64) * (K * J * D) + j * D
    return first + ((nearby * K + k)[:, None] * (J * D) + d[None, :]), exists


@triton.jit
def vector_tile(b, j, B, J: tl.constexpr, D: tl.constexpr, PADDED_D: tl.constexpr):
    """Offsets in [B, J, D] of samples b, output j: [B, D], and which exist."""
    d = tl.arange(0, PADDED_D)
    exists = (b < B)[:, None] & (d < D)[None, :]
    return (b.to(tl.int64)[:, None] * J + j) * D + d[None, :], exists


@triton.jit
def coefficient_tile(b, i, B, I, BLOCK_I: tl.constexpr):
    """Offsets in [B, I] of samples b and inputs i .. i + BLOCK_I, and which exist."""
    input_capsule = i + tl.arange(0, BLOCK_I)
    exists = (b < B)[:, None] & (input_capsule < I)[None, :]
    return b.to(tl.int64)[:, None] * I + input_capsule[None, :], exists


@triton.jit
def multiply(left, right, sums, OPERAND: tl.constexpr, PRECISION: tl.constexpr):
    """``sums + left right``, for left [M, K] in float32 and right [K, N] already an operand.

    Half types are held as they are by right, and left goes in two terms: V and what is weighed by
    coefficients decide the routing, which would not forgive its rounding after a few iterations.
    """
    if tl.bfloat16 == OPERAND:
        high = left.to(OPERAND)
        low = (left - high.to(tl.float32)).to(OPERAND)
        return tl.dot(high, right, tl.dot(low, right, sums))
    elif PRECISION == TWO_TERMS:
        bits = left.to(tl.int32, bitcast=True) & -(1 << 13)  # which TF32 does not have
        high = bits.to(tl.float32, bitcast=True)
        sums = tl.dot(left - high, right, sums, input_precision="tf32")
        return tl.dot(high, right, sums, input_precision="tf32")
    else:
        return tl.dot(left.to(OPERAND), right, sums, input_precision=PRECISION)


@triton.jit
def add_prior(logits, prior, i, j, I, J: tl.constexpr, BLOCK_I: tl.constexpr):
    """Routing logits [B, I] with the prior of inputs i .. i + BLOCK_I for output j."""
    input_capsule = i + tl.arange(0, BLOCK_I)
    row = tl.load(prior + input_capsule * J + j, mask=input_capsule < I, other=0.0)
    return logits + row.to(tl.float32)[None, :]


@triton.jit
def load_normalizer(
    normalizer, b, i, j, B, I, J: tl.constexpr, OVER_INPUTS: tl.constexpr, BLOCK_I: tl.constexpr
):
    """The largest logit and the log of the sum of the others' weights, each [B, I] or [B, 1].

    Over outputs they belong to an input capsule, ``normalizer`` [2, B, I]; over inputs to an
    output capsule, [B, J, 2]. Apart, since their sum would round off small logits' digits.
    """
    if OVER_INPUTS:
        row = (b.to(tl.int64) * J + j)[:, None] * 2
        largest = tl.load(normalizer + row, mask=(b < B)[:, None], other=0.0)
        rest = tl.load(normalizer + row + 1, mask=(b < B)[:, None], other=0.0)
    else:
        element, exists = coefficient_tile(b, i, B, I, BLOCK_I)
        plane = tl.cast(B, tl.int64) * I
        largest = tl.load(normalizer + element, mask=exists, other=0.0)
        rest = tl.load(normalizer + plane + element, mask=exists, other=0.0)
    return largest, rest


@triton.jit
def routing_logits(
    weight,
    agreement,
    prior,
    inputs,
    b,
    i,
    j,
    B,
    I,
    K: tl.constexpr,
    J: tl.constexpr,
    D: tl.constexpr,
    HAS_AGREEMENT: tl.constexpr,
    HAS_PRIOR: tl.constexpr,
    PADDED_K: tl.constexpr,
    PADDED_D: tl.constexpr,
    BLOCK_B: tl.constexpr,
    BLOCK_I: tl.constexpr,
    OPERAND: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """``prior_ij + u_hat_ij . V_j`` [B, I] of output j, inputs [B, I * K] from input i on."""
    logits = tl.zeros([BLOCK_B, BLOCK_I], tl.float32)
    if HAS_AGREEMENT:
        vector, vector_exists = vector_tile(b, j, B, J, D, PADDED_D)
        v = tl.load(agreement + vector, mask=vector_exists, other=0.0)
        element, exists = weight_tile(i, j, I, K, J, D, PADDED_K, PADDED_D, BLOCK_I)
        w = tl.load(weight + element, mask=exists, other=0.0).to(OPERAND)
        nothing = tl.zeros([BLOCK_B, BLOCK_I * PADDED_K], tl.float32)
        products = multiply(v, tl.trans(w), nothing, OPERAND, PRECISION)
        logits = sum_over_k(products, inputs, BLOCK_I, PADDED_K)
    if HAS_PRIOR:
        logits = add_prior(logits, prior, i, j, I, J, BLOCK_I)
    return logits


@triton.jit
def coupling_coefficients(logits, largest, rest):
    """``exp(logits - log_sum_exp)``, at most 1.

    A logit that differs from the largest by rounding is the largest, made again: so an input or
    output that takes all does so however long its prediction vectors.
    """
    below = logits - largest
    return tl.exp(tl.where(below > tl.abs(largest) * -NOISE, 0.0, below) - rest)


@triton.jit
def log_sum_exp_over_outputs(
    weight,
    agreement,
    prior,
    inputs,
    b,
    i,
    B,
    I,
    K: tl.constexpr,
    J: tl.constexpr,
    D: tl.constexpr,
    HAS_AGREEMENT: tl.constexpr,
    HAS_PRIOR: tl.constexpr,
    PADDED_K: tl.constexpr,
    PADDED_D: tl.constexpr,
    BLOCK_B: tl.constexpr,
    BLOCK_I: tl.constexpr,
    OPERAND: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """The largest logit over the output capsules, and the log of the rest, [B, I] each."""
    largest = tl.full([BLOCK_B, BLOCK_I], float("-inf"), tl.float32)
    total = tl.zeros([BLOCK_B, BLOCK_I], tl.float32)
    for j in range(J):
        logits = routing_logits(
            weight, agreement, prior, inputs, b, i, j, B, I, K, J, D, HAS_AGREEMENT, HAS_PRIOR,
            PADDED_K, PADDED_D, BLOCK_B, BLOCK_I, OPERAND, PRECISION,
        )  # fmt: skip
        higher = tl.maximum(largest, logits)
        # Logits that are all -inf so far have no weight, rather than NaN.
        origin = tl.where(higher == float("-inf"), 0.0, higher)
        total = total * tl.exp(largest - origin) + tl.exp(logits - origin)
        largest = higher
    return largest, tl.log(total)
