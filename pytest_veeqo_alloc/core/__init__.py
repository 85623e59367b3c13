"""HTTP messages, JSON Pointers, text and formats."""
