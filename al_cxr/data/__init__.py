"""Radiographs from any source as one `Dataset`, and their pixels, decoded once.

`sources.load(settings)` gives the Dataset, `store.PixelStore.open(dataset.images, size)` its pixels.
"""
