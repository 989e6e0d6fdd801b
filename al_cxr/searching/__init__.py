"""Hyper-parameters, chosen on validation data."""
