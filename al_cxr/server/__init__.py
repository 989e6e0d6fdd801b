"""The page on which radiographs are read: HTTP around a labelling project (docs/reference/server.md)."""
