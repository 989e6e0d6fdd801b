"""How far a trained model can be believed: calibration, operating points, slices, ensembles, intervals."""
