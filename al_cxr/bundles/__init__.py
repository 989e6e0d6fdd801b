"""Trained models that are used without their experiment: bundles, predictions, explanations."""
