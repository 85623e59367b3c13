"""HTTP messages, JSON Pointers, text for people, string formats."""
