"""The tests of a server, in your own test run."""

from pytest_veeqo_alloc.conformance.test_veeqo_alloc_answers import *
from pytest_veeqo_alloc.conformance.test_veeqo_alloc_refusals import *
from pytest_veeqo_alloc.conformance.test_veeqo_alloc_state import *
