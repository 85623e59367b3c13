"""Findings and reports as text, JSON, HTML and GitHub annotations."""
