"""Where radiographs come from, one module a kind."""
