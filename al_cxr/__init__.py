"""Active learning for chest radiographs: which images to label next, and how many labels that saved."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("al-cxr")
except PackageNotFoundError:  # imported from a checkout that was not installed
    __version__ = "0+unknown"
