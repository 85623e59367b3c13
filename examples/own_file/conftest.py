import http.client
import json
from urllib.parse import urlsplit


def make_client(base_url, api_key):
    def allocate(order_id, warehouse_id, line_items):
        body = json.dumps({"allocation": {"warehouse_id": warehouse_id, "line_items_attributes": line_items}})
        connection = http.client.HTTPConnection(urlsplit(base_url).netloc, timeout=1)
        try:
            headers = {"x-api-key": api_key, "content-type": "application/json"}
            connection.request("POST", f"/orders/{order_id}/allocations", body, headers)
            response = connection.getresponse()
            if response.status != http.client.CREATED:
                raise RuntimeError(f"allocation failed with status {response.status}")
            return json.loads(response.read())["customer"]["id"]
        finally:
            connection.close()

    return allocate


def pytest_veeqo_alloc_client(request):
    return make_client
