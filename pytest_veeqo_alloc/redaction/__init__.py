"""Redaction: values that are not on an allowlist are replaced with placeholders."""
