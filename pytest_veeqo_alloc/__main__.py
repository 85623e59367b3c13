"""The entry point of `python -m pytest_veeqo_alloc`, which does the same as the command `veeqo-alloc`."""

from pytest_veeqo_alloc.cli.main import entry

if __name__ == "__main__":
    entry()
