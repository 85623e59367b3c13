"""Conversion of client objects, watched sessions and files to interactions, and of interactions to files."""
