"""Synthetic radiographs: the source `phantom` and its renderer."""
