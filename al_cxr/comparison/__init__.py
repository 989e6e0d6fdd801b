"""Finished runs, read back from their records and compared with the statistics that their number supports."""
