"""Where a network is random, and the passes over a pool that sample it: right first, then fast."""
