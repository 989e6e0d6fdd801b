"""What every page is made of: tables, figures, the page itself, its HTML. Knows nothing of experiments."""
