import shop


def pytest_veeqo_alloc_client(request):
    return shop.make_client
