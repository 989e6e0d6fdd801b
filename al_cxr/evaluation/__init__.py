"""Trained models measured: calibration, operating points, subgroups, ensembles, intervals; and a model of a labelling
project, of which nobody knows the truth: its audit, certificates, readers."""
