"""An experiment: opening it, its arms, what they train and ask, all runs of it, and the search for its settings."""
