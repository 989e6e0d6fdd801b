"""What everything stands on, and what knows nothing of radiographs: errors, seeds, records, files, progress."""
