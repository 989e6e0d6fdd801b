"""Trained models measured: calibration, operating points, subgroups, ensembles, intervals."""
