"""DICOM radiographs: which files they are, what their headers say, and their pixels as the standard means them.

Bytes from outside are parsed and decoded in a child process alone (`child.py`, driven by `reader.py`), because its
decoders are C and C++; it has limits of memory and time, and answers with JSON and bare pixels. `header.py`,
`pixels.py` and `directory.py` run there and import pydicom; nothing else does, so that the rest works without it.
"""
