"""What one DICOM file may cost; neither side of the pipe imports the other for it."""

MEMORY = {"header": 2**30, "directory": 2**30, "pixels": 2 * 2**30}
"""Bytes of address space of the process that answers a question; of these half a GiB is its own."""

SECONDS = 60
"""Of the processor, for one file."""

READY = b"ready"
"""What the process writes first."""
