"""HTTP messages, JSON pointers and text; knows nothing of the contract."""
