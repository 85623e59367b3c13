"""`python -m pytest_veeqo_alloc` is `veeqo-alloc`."""

from pytest_veeqo_alloc.cli import entry

if __name__ == "__main__":
    entry()
