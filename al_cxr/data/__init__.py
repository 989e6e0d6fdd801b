"""Radiographs from any source as one `Dataset`, and their pixels, decoded once.

`load.load_data("phantom:1000")` gives the Dataset, `store.PixelStore.open(dataset.images, size)` its pixels.
"""
