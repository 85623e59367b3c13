"""The packaged suite: `pytest --pyargs pytest_veeqo_alloc.conformance` judges a server, a client, or both."""
