"""Faces drawn in two dimensions: shapes, colours and creases around 68 landmarks."""
