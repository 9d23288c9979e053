"""The passes over the input capsules of the fused layer: forward, and three gradients.

Each program does a tile of samples and some inputs; ``kernels/coupling.py`` has the idea and the
tiles. Every output capsule is by itself, so that a softmax over outputs needs its normalizer
beforehand (and its gradient the mean slope): passes that end with all outputs store those.
"""

import triton
import triton.language as tl

from fastcaps.kernels.coupling import (
    add_prior,
    capsule_tile,
    coefficient_tile,
    coupling_coefficients,
    input_columns,
    load_inputs,
    load_normalizer,
    log_sum_exp_over_outputs,
    multiply,
    routing_logits,
    samples_and_input,
    spread_over_k,
    sum_over_k,
    vector_tile,
    weight_tile,
)
from fastcaps.kernels.precision import single_term


@triton.jit(do_not_specialize=["B"])
def normalizer_kernel(
    u,  # arranged
    weight,  # [I, K, J, D]
    agreement,  # [B, J, D]: V
    prior,  # [I, J]
    normalizer,  # [2, B, I], written
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
    ARRANGED_I: tl.constexpr,
    OPERAND: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Softmax over outputs: the largest logit of every input capsule, and the log of the rest."""
    b, i = samples_and_input(I, BLOCK_B, BLOCK_I)
    inputs = load_inputs(u, b, i, B, I, PADDED_K, BLOCK_I, ARRANGED_I).to(tl.float32)
    largest, rest = log_sum_exp_over_outputs(
        weight, agreement, prior, inputs, b, i, B, I, K, J, D, HAS_AGREEMENT, HAS_PRIOR,
        PADDED_K, PADDED_D, BLOCK_B, BLOCK_I, OPERAND, PRECISION,
    )  # fmt: skip
    coefficient, exists = coefficient_tile(b, i, B, I, BLOCK_I)
    tl.store(normalizer + coefficient, largest, mask=exists)
    tl.store(normalizer + tl.cast(B, tl.int64) * I + coefficient, rest, mask=exists)


@triton.jit(do_not_specialize=["B"])
def coefficients_kernel(
    u,  # arranged
    weight,  # [I, K, J, D]
    agreement,  # [B, J, D]: V
    prior,  # [I, J]
    normalizer,  # [2, B, I] over outputs, [B, J, 2] over inputs
    c,  # [B, I, J], written
    B,
    I,
    K: tl.constexpr,
    J: tl.constexpr,
    D: tl.constexpr,
    HAS_AGREEMENT: tl.constexpr,
    HAS_PRIOR: tl.constexpr,
    OVER_INPUTS: tl.constexpr,
    PADDED_K: tl.constexpr,
    PADDED_D: tl.constexpr,
    BLOCK_B: tl.constexpr,
    BLOCK_I: tl.constexpr,
    ARRANGED_I: tl.constexpr,
    OPERAND: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """The coupling coefficients themselves, for who asks for them."""
    b, i = samples_and_input(I, BLOCK_B, BLOCK_I)
    inputs = load_inputs(u, b, i, B, I, PADDED_K, BLOCK_I, ARRANGED_I).to(tl.float32)
    coefficient, exists = coefficient_tile(b, i, B, I, BLOCK_I)
    for j in range(J):
        logits = routing_logits(
            weight, agreement, prior, inputs, b, i, j, B, I, K, J, D, HAS_AGREEMENT, HAS_PRIOR,
            PADDED_K, PADDED_D, BLOCK_B, BLOCK_I, OPERAND, PRECISION,
        )  # fmt: skip
        largest, rest = load_normalizer(normalizer, b, i, j, B, I, J, OVER_INPUTS, BLOCK_I)
        weights = coupling_coefficients(logits, largest, rest).to(c.dtype.element_ty)
        tl.store(c + coefficient * J + j, weights, mask=exists)


@triton.jit(do_not_specialize=["B", "slice_inputs"])
def uniform_sums_kernel(
    u,  # arranged
    weight,  # [I, K, J, D]
    partial,  # [slices, B, J, D], written
    B,
    I,
    slice_inputs,
    K: tl.constexpr,
    J: tl.constexpr,
    D: tl.constexpr,
    OVER_INPUTS: tl.constexpr,
    PADDED_K: tl.constexpr,
    BLOCK_B: tl.constexpr,
    BLOCK_I: tl.constexpr,
    ARRANGED_I: tl.constexpr,
    BLOCK_OUTPUTS: tl.constexpr,
    OPERAND: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """One slice of the inputs with equal coefficients: ``u W / J`` or ``u W / I``.

    With no softmax between, output capsules are columns like any others.
    """
    b = tl.program_id(0) * BLOCK_B + tl.arange(0, BLOCK_B)
    column = tl.program_id(1) * BLOCK_OUTPUTS + tl.arange(0, BLOCK_OUTPUTS)
    part = tl.program_id(2)
    nearby, k = input_columns(PADDED_K, BLOCK_I)
    offsets = (nearby * K + k)[:, None] * (J * D) + column[None, :]
    sums = tl.zeros([BLOCK_B, BLOCK_OUTPUTS], tl.float32)
    for i in range(part * slice_inputs, tl.minimum((part + 1) * slice_inputs, I), BLOCK_I):
        inputs = load_inputs(u, b, i, B, I, PADDED_K, BLOCK_I, ARRANGED_I).to(OPERAND)
        exists = ((i + nearby < I) & (k < K))[:, None] & (column < J * D)[None, :]
        first = tl.cast(i, tl.int64) * (K * J * D)
        w = tl.load(weight + first + offsets, mask=exists, other=0.0).to(OPERAND)
        sums = tl.dot(inputs, w, sums, input_precision=single_term(PRECISION))
    place = b.to(tl.int64)[:, None] * (J * D) + column[None, :]
    exists = (b < B)[:, None] & (column < J * D)[None, :]
    slice_numbers = part * tl.cast(B, tl.int64) * (J * D)
    tl.store(partial + slice_numbers + place, sums / (I if OVER_INPUTS else J), mask=exists)


@triton.jit(do_not_specialize=["B", "slice_inputs"])
def weighted_sums_kernel(
    u,  # arranged
    weight,  # [I, K, J, D]
    agreement,  # [B, J, D]: V
    prior,  # [I, J]
    normalizer,  # [2, B, I], over outputs
    partial,  # [slices, B, J, D], written
    largest,  # [slices, B, J], over inputs, written
    weights,  # [slices, B, J], over inputs, written
    B,
    I,
    slice_inputs,
    K: tl.constexpr,
    J: tl.constexpr,
    D: tl.constexpr,
    HAS_AGREEMENT: tl.constexpr,
    HAS_PRIOR: tl.constexpr,
    OVER_INPUTS: tl.constexpr,
    PADDED_K: tl.constexpr,
    PADDED_D: tl.constexpr,
    BLOCK_B: tl.constexpr,
    BLOCK_I: tl.constexpr,
    ARRANGED_I: tl.constexpr,
    OPERAND: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """One slice of the inputs, a tile of samples, one output: ``sum_i c_ij u_hat_ij``."""
    nothing = tl.zeros([BLOCK_B, BLOCK_I * PADDED_K], tl.float32)
    b = tl.program_id(0) * BLOCK_B + tl.arange(0, BLOCK_B)
    j = tl.program_id(1)
    part = tl.program_id(2)
    vector, vector_exists = vector_tile(b, j, B, J, D, PADDED_D)
    if HAS_AGREEMENT:
        v = tl.load(agreement + vector, mask=vector_exists, other=0.0)
    sums = tl.zeros([BLOCK_B, PADDED_D], tl.float32)
    peak = tl.full([BLOCK_B, 1], float("-inf"), tl.float32)
    total = tl.zeros([BLOCK_B, 1], tl.float32)
    end = tl.minimum((part + 1) * slice_inputs, I)
    for i in range(part * slice_inputs, end, BLOCK_I):
        inputs = load_inputs(u, b, i, B, I, PADDED_K, BLOCK_I, ARRANGED_I).to(tl.float32)
        element, exists = weight_tile(i, j, I, K, J, D, PADDED_K, PADDED_D, BLOCK_I)
        w = tl.load(weight + element, mask=exists, other=0.0).to(OPERAND)
        logits = tl.zeros([BLOCK_B, BLOCK_I], tl.float32)
        if HAS_AGREEMENT:
            products = multiply(v, tl.trans(w), nothing, OPERAND, PRECISION)
            logits = sum_over_k(products, inputs, BLOCK_I, PADDED_K)
        if HAS_PRIOR:
            logits = add_prior(logits, prior, i, j, I, J, BLOCK_I)
        if OVER_INPUTS:
            logits = tl.where((i + tl.arange(0, BLOCK_I) < I)[None, :], logits, float("-inf"))
            higher = tl.maximum(peak, tl.max(logits, 1, keep_dims=True))
            # Logits that are all -inf so far have no weight, rather than NaN.
            origin = tl.where(higher == float("-inf"), 0.0, higher)
            decay = tl.exp(peak - origin)
            c = tl.exp(logits - origin)
            total = total * decay + tl.sum(c, 1, keep_dims=True)
            sums = sums * decay
            peak = higher
        else:
            top, rest = load_normalizer(normalizer, b, i, j, B, I, J, False, BLOCK_I)
            c = coupling_coefficients(logits, top, rest)
        share = spread_over_k(c, BLOCK_I, PADDED_K) * inputs
        sums = multiply(share, w, sums, OPERAND, PRECISION)
    slice_rows = part * tl.cast(B, tl.int64) * J
    tl.store(partial + slice_rows * D + vector, sums, mask=vector_exists)
    if OVER_INPUTS:
        row, row_exists = vector_tile(b, j, B, J, 1, 1)
        tl.store(largest + slice_rows + row, peak, mask=row_exists)
        tl.store(weights + slice_rows + row, total, mask=row_exists)


@triton.jit
def center_of_slopes(s, ds, vector, vector_exists, OVER_INPUTS: tl.constexpr):
    """Over inputs, ``sum_i c_ij u_hat_ij . ds_j = s_j . ds_j`` [B, 1]; else 0."""
    if OVER_INPUTS:
        mean = tl.load(s + vector, mask=vector_exists, other=0.0)
        return tl.sum(ds * mean, 1, keep_dims=True)
    else:
        return tl.zeros([ds.shape[0], 1], tl.float32)


@triton.jit
def around(slope, center, c):
    """The slope less its mean; exactly 0 for an input or output that takes all (c = 1).

    There the two are equal but for rounding, which huge prediction vectors would multiply.
    """
    return tl.where(c == 1.0, 0.0, slope - center)


@triton.jit(do_not_specialize=["B"])
def input_gradients_kernel(
    u,  # arranged
    weight,  # [I, K, J, D]
    prior,  # [I, J]
    agreement,  # [B, J, D]: V of this iteration
    s,  # [B, J, D], of this iteration
    grad_s,  # [B, J, D], of this iteration
    log_sum_exp,  # [B, J, 2], of this iteration, over inputs
    normalizer,  # [2, B, I], over outputs, written
    mean_slope,  # [B, I], over outputs, written
    grad_u,  # [B, I, K] float32: of the iterations after this one, updated in place
    B,
    I,
    K: tl.constexpr,
    J: tl.constexpr,
    D: tl.constexpr,
    FIRST: tl.constexpr,
    UNIFORM: tl.constexpr,
    HAS_PRIOR: tl.constexpr,
    OVER_INPUTS: tl.constexpr,
    DETACHED: tl.constexpr,
    NEED_U: tl.constexpr,
    PADDED_K: tl.constexpr,
    PADDED_D: tl.constexpr,
    BLOCK_B: tl.constexpr,
    BLOCK_I: tl.constexpr,
    ARRANGED_I: tl.constexpr,
    OPERAND: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """One iteration's part of dL/du, and what the softmax over outputs needs of its gradient.

    With slopes a_ij = u_hat_ij . ds_j and their mean over the outputs, dl_ij = c_ij (a_ij - mean_i)
    and ``du_i = sum_j W_ij (c_ij ds_j + dl_ij V_j)``. The second part is a covariance of slopes and
    products over the outputs, taken around running means, as a difference of sums would cancel.
    """
    nothing = tl.zeros([BLOCK_B, BLOCK_I * PADDED_K], tl.float32)
    b, i = samples_and_input(I, BLOCK_B, BLOCK_I)
    inputs = load_inputs(u, b, i, B, I, PADDED_K, BLOCK_I, ARRANGED_I).to(tl.float32)
    coefficient, coefficient_exists = coefficient_tile(b, i, B, I, BLOCK_I)
    largest = tl.zeros([BLOCK_B, BLOCK_I], tl.float32)
    rest = tl.zeros([BLOCK_B, BLOCK_I], tl.float32)
    if not UNIFORM and not OVER_INPUTS:
        largest, rest = log_sum_exp_over_outputs(
            weight, agreement, prior, inputs, b, i, B, I, K, J, D, True, HAS_PRIOR,
            PADDED_K, PADDED_D, BLOCK_B, BLOCK_I, OPERAND, PRECISION,
        )  # fmt: skip
        tl.store(normalizer + coefficient, largest, mask=coefficient_exists)
        plane = tl.cast(B, tl.int64) * I
        tl.store(normalizer + plane + coefficient, rest, mask=coefficient_exists)
    du = tl.zeros([BLOCK_B, BLOCK_I * PADDED_K], tl.float32)
    weights = tl.zeros([BLOCK_B, BLOCK_I], tl.float32)
    mean = tl.zeros([BLOCK_B, BLOCK_I], tl.float32)
    mean_products = tl.zeros([BLOCK_B, BLOCK_I * PADDED_K], tl.float32)
    for j in range(J):
        vector, vector_exists = vector_tile(b, j, B, J, D, PADDED_D)
        ds = tl.load(grad_s + vector, mask=vector_exists, other=0.0)
        place, place_exists = weight_tile(i, j, I, K, J, D, PADDED_K, PADDED_D, BLOCK_I)
        w = tl.load(weight + place, mask=place_exists, other=0.0).to(OPERAND)
        across = tl.trans(w)
        slopes = multiply(ds, across, nothing, OPERAND, PRECISION)
        if UNIFORM:
            du += slopes
        else:
            v = tl.load(agreement + vector, mask=vector_exists, other=0.0)
            products = multiply(v, across, nothing, OPERAND, PRECISION)
            logits = sum_over_k(products, inputs, BLOCK_I, PADDED_K)
            if HAS_PRIOR:
                logits = add_prior(logits, prior, i, j, I, J, BLOCK_I)
            if OVER_INPUTS:
                top, remainder = load_normalizer(log_sum_exp, b, i, j, B, I, J, True, BLOCK_I)
                c = coupling_coefficients(logits, top, remainder)
            else:
                c = coupling_coefficients(logits, largest, rest)
            du += spread_over_k(c, BLOCK_I, PADDED_K) * slopes
            if not DETACHED:
                slope = sum_over_k(slopes, inputs, BLOCK_I, PADDED_K)
                if OVER_INPUTS:
                    slope = around(slope, center_of_slopes(s, ds, vector, vector_exists, True), c)
                    du += spread_over_k(c * slope, BLOCK_I, PADDED_K) * products
                else:
                    weights += c
                    share = tl.where(weights > 0.0, c / tl.where(weights > 0.0, weights, 1.0), 0.0)
                    above = slope - mean
                    mean += above * share
                    mean_products += (products - mean_products) * spread_over_k(
                        share, BLOCK_I, PADDED_K
                    )
                    du += spread_over_k(c * above, BLOCK_I, PADDED_K) * (products - mean_products)
    if not OVER_INPUTS and not DETACHED and not UNIFORM:
        tl.store(mean_slope + coefficient, mean, mask=coefficient_exists)
    if NEED_U:
        element, exists = capsule_tile(b, i, B, I, K, PADDED_K, BLOCK_I)
        if UNIFORM:
            du = du / (I if OVER_INPUTS else J)
        if not FIRST:
            du += tl.load(grad_u + element, mask=exists, other=0.0)
        tl.store(grad_u + element, du, mask=exists)


@triton.jit
def gradient_of_logits(
    products,
    slopes,
    inputs,
    center,
    prior,
    normalizer,
    log_sum_exp,
    mean_slope,
    b,
    i,
    j,
    B,
    I,
    J: tl.constexpr,
    HAS_PRIOR: tl.constexpr,
    OVER_INPUTS: tl.constexpr,
    PADDED_K: tl.constexpr,
    BLOCK_I: tl.constexpr,
):
    """The coefficients and dL/dlogits, [B, I], of products and slopes [B, I * K]."""
    logits = sum_over_k(products, inputs, BLOCK_I, PADDED_K)
    slope = sum_over_k(slopes, inputs, BLOCK_I, PADDED_K)
    if HAS_PRIOR:
        logits = add_prior(logits, prior, i, j, I, J, BLOCK_I)
    if OVER_INPUTS:
        largest, rest = load_normalizer(log_sum_exp, b, i, j, B, I, J, True, BLOCK_I)
    else:
        largest, rest = load_normalizer(normalizer, b, i, j, B, I, J, False, BLOCK_I)
        coefficient, exists = coefficient_tile(b, i, B, I, BLOCK_I)
        center = tl.load(mean_slope + coefficient, mask=exists, other=0.0)
    c = coupling_coefficients(logits, largest, rest)
    return c, c * around(slope, center, c)


@triton.jit(do_not_specialize=["B", "slice_inputs"])
def agreement_gradients_kernel(
    u,  # arranged
    weight,  # [I, K, J, D]
    prior,  # [I, J]
    agreement,  # [B, J, D]: V of this iteration
    s,  # [B, J, D], of this iteration
    grad_s,  # [B, J, D], of this iteration
    log_sum_exp,  # [B, J, 2], of this iteration, over inputs
    normalizer,  # [2, B, I], of this iteration, over outputs
    mean_slope,  # [B, I], of this iteration, over outputs
    partial,  # [slices, B, J, D], written
    B,
    I,
    slice_inputs,
    K: tl.constexpr,
    J: tl.constexpr,
    D: tl.constexpr,
    HAS_PRIOR: tl.constexpr,
    OVER_INPUTS: tl.constexpr,
    PADDED_K: tl.constexpr,
    PADDED_D: tl.constexpr,
    BLOCK_B: tl.constexpr,
    BLOCK_I: tl.constexpr,
    ARRANGED_I: tl.constexpr,
    OPERAND: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """One slice of the inputs, a tile of samples, one output: ``dL/dV = sum_i dl_ij u_hat_ij``."""
    nothing = tl.zeros([BLOCK_B, BLOCK_I * PADDED_K], tl.float32)
    b = tl.program_id(0) * BLOCK_B + tl.arange(0, BLOCK_B)
    j = tl.program_id(1)
    part = tl.program_id(2)
    vector, vector_exists = vector_tile(b, j, B, J, D, PADDED_D)
    v = tl.load(agreement + vector, mask=vector_exists, other=0.0)
    ds = tl.load(grad_s + vector, mask=vector_exists, other=0.0)
    center = center_of_slopes(s, ds, vector, vector_exists, OVER_INPUTS)
    sums = tl.zeros([BLOCK_B, PADDED_D], tl.float32)
    for i in range(part * slice_inputs, tl.minimum((part + 1) * slice_inputs, I), BLOCK_I):
        inputs = load_inputs(u, b, i, B, I, PADDED_K, BLOCK_I, ARRANGED_I).to(tl.float32)
        element, exists = weight_tile(i, j, I, K, J, D, PADDED_K, PADDED_D, BLOCK_I)
        w = tl.load(weight + element, mask=exists, other=0.0).to(OPERAND)
        across = tl.trans(w)
        products = multiply(v, across, nothing, OPERAND, PRECISION)
        slopes = multiply(ds, across, nothing, OPERAND, PRECISION)
        _, dl = gradient_of_logits(
            products, slopes, inputs, center, prior, normalizer, log_sum_exp, mean_slope,
            b, i, j, B, I, J, HAS_PRIOR, OVER_INPUTS, PADDED_K, BLOCK_I,
        )  # fmt: skip
        share = spread_over_k(dl, BLOCK_I, PADDED_K) * inputs
        sums = multiply(share, w, sums, OPERAND, PRECISION)
    slice_numbers = part * tl.cast(B, tl.int64) * (J * D)
    tl.store(partial + slice_numbers + vector, sums, mask=vector_exists)


@triton.jit(do_not_specialize=["B", "first", "iterations"])
def weight_gradients_kernel(
    u,  # arranged
    weight,  # [I, K, J, D]
    prior,  # [I, J]
    agreement,  # [R, B, J, D]: V of every iteration
    s,  # [R, B, J, D]
    grad_s,  # [R, B, J, D]
    log_sum_exp,  # [R, B, J, 2], over inputs
    normalizer,  # [R, 2, B, I], over outputs
    mean_slope,  # [R, B, I], over outputs
    grad_weight,  # [I, K, J, D], written
    grad_prior,  # [I, J], written
    B,
    I,
    first,
    iterations,
    K: tl.constexpr,
    J: tl.constexpr,
    D: tl.constexpr,
    UNIFORM: tl.constexpr,
    HAS_PRIOR: tl.constexpr,
    OVER_INPUTS: tl.constexpr,
    DETACHED: tl.constexpr,
    NEED_WEIGHT: tl.constexpr,
    PADDED_K: tl.constexpr,
    PADDED_D: tl.constexpr,
    BLOCK_B: tl.constexpr,
    BLOCK_I: tl.constexpr,
    ARRANGED_I: tl.constexpr,
    OPERAND: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """For BLOCK_I inputs, one output and all samples: gradients of weight and prior.

    ``dW_ij = sum_bt u_i (x) (c_ij ds_j + dl_ij V_j)``. UNIFORM: iteration 0 has equal coefficients
    and V = 0, and ``first`` is 1.
    """
    nothing = tl.zeros([BLOCK_B, BLOCK_I * PADDED_K], tl.float32)
    i = tl.program_id(0) * BLOCK_I
    j = tl.program_id(1)
    samples = tl.cast(B, tl.int64)
    dw = tl.zeros([BLOCK_I * PADDED_K, PADDED_D], tl.float32)
    dprior = tl.zeros([BLOCK_I], tl.float32)
    if UNIFORM:
        for start in range(0, B, BLOCK_B):
            b = start + tl.arange(0, BLOCK_B)
            inputs = load_inputs(u, b, i, B, I, PADDED_K, BLOCK_I, ARRANGED_I).to(OPERAND)
            vector, vector_exists = vector_tile(b, j, B, J, D, PADDED_D)
            ds = tl.load(grad_s + vector, mask=vector_exists, other=0.0).to(OPERAND)
            dw = tl.dot(tl.trans(inputs), ds, dw, input_precision=single_term(PRECISION))
        dw = dw / (I if OVER_INPUTS else J)
    place, place_exists = weight_tile(i, j, I, K, J, D, PADDED_K, PADDED_D, BLOCK_I)
    w = tl.load(weight + place, mask=place_exists, other=0.0).to(OPERAND)
    across = tl.trans(w)  # [D, I * K]
    # One loop over the iterations of every tile of samples, so that loads run ahead.
    count = iterations - first
    for step in range(tl.cdiv(B, BLOCK_B) * count):
        b = step // count * BLOCK_B + tl.arange(0, BLOCK_B)
        t = first + step % count
        inputs = load_inputs(u, b, i, B, I, PADDED_K, BLOCK_I, ARRANGED_I).to(tl.float32)
        vector, vector_exists = vector_tile(b, j, B, J, D, PADDED_D)
        vector += t * samples * (J * D)
        ds = tl.load(grad_s + vector, mask=vector_exists, other=0.0)
        center = center_of_slopes(s, ds, vector, vector_exists, OVER_INPUTS)
        v = tl.load(agreement + vector, mask=vector_exists, other=0.0)
        products = multiply(v, across, nothing, OPERAND, PRECISION)
        slopes = multiply(ds, across, nothing, OPERAND, PRECISION)
        c, dl = gradient_of_logits(
            products, slopes, inputs, center, prior,
            normalizer + t * samples * (2 * I), log_sum_exp + t * samples * (2 * J),
            mean_slope + t * samples * I,
            b, i, j, B, I, J, HAS_PRIOR, OVER_INPUTS, PADDED_K, BLOCK_I,
        )  # fmt: skip
        if NEED_WEIGHT:
            share = spread_over_k(c, BLOCK_I, PADDED_K) * inputs
            dw = tl.dot(
                tl.trans(share.to(OPERAND)), ds.to(OPERAND), dw,
                input_precision=single_term(PRECISION),
            )  # fmt: skip
            if not DETACHED:
                share = spread_over_k(dl, BLOCK_I, PADDED_K) * inputs
                dw = tl.dot(
                    tl.trans(share.to(OPERAND)), v.to(OPERAND), dw,
                    input_precision=single_term(PRECISION),
                )  # fmt: skip
        if HAS_PRIOR and not DETACHED:
            dprior += tl.sum(tl.where((b < B)[:, None], dl, 0.0), 0)
    if NEED_WEIGHT:
        tl.store(grad_weight + place, dw.to(grad_weight.dtype.element_ty), mask=place_exists)
    if HAS_PRIOR:
        input_capsule = i + tl.arange(0, BLOCK_I)
        dprior = dprior.to(grad_prior.dtype.element_ty)
        tl.store(grad_prior + input_capsule * J + j, dprior, mask=input_capsule < I)
