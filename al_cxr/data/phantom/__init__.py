"""Synthetic radiographs: patients, their anatomy and findings, the sites that image them, and the rendering."""
