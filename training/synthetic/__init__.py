"""Synthetic faces that show action units: people, what they do, and how they are drawn."""
