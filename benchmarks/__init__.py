"""Benchmarks of fastcaps against the usual formulations; ``python benchmarks/routing.py``."""
