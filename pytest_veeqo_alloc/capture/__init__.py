"""Interactions from client objects, watched sessions and files."""
