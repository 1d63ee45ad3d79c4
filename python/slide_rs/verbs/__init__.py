"""The verbs of the command line that look at models and change the form of files."""

from slide_rs.verbs.parsers import add_files, add_models

__all__ = ["add_files", "add_models"]
