"""Where the runs of an experiment are computed: in this process, in several, on a Ray cluster."""
