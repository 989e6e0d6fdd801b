"""All runs of an experiment: what is to be done, on which engine, and how far it is."""
