"""A labelling project: the loop of ask and tell with a person instead of an oracle. It knows no HTTP."""
