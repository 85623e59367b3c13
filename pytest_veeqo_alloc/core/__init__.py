"""The foundation of all other folders: HTTP messages, JSON Pointers, text for people, and formats of strings."""
