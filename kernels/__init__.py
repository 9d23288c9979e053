"""Triton kernels, installed as ``fastcaps.kernels``."""
