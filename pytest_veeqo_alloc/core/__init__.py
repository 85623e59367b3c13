"""HTTP messages, JSON Pointers, text and formats: plain data and functions that know no contract."""
