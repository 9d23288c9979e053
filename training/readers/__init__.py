"""Readers of AU data sets, each from its own root folder as distributed."""
