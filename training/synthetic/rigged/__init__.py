"""Faces rendered in three dimensions from a face rig: its shapes, surface and light."""
