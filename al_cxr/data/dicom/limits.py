"""What one DICOM file may cost; neither side of the pipe imports the other for it."""

MEMORY = 4 * 2**30
"""Bytes of address space of the process that decodes."""

SECONDS = 60
"""Of the processor, for one file."""

READY = b"ready"
"""What the process writes first."""
