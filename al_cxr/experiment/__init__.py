"""An experiment: opening it, its arms, what they train and ask, all runs of it, and the search for its settings.

The loop of active learning is `arm.py`; `sweep.py` goes through all arms and seeds, and `engines` say where.
"""
