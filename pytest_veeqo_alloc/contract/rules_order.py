"""Rules about what an order says of itself and of the request: equations that hold on every order known unscrubbed.

Rows: id, side, basis, severity in lenient, documented and strict (error, warning, -), holds when, remedy, source.
"""

from __future__ import annotations

_ORDERS = "the page's example and three orders of 2017-18"
_EXAMPLE = "the page's example response"


def _equation(rule_id: str, holds_when: str, remedy: str) -> tuple[str, str, str, str, str, str, str]:
    return (rule_id, "response", "convention", "-we", holds_when, remedy, _ORDERS)


ROWS = (
    ("order-echo", "response", "convention", "-we", "id = order_id of the path", "answer with the order that was asked for",
     _EXAMPLE),
    ("allocation-echo", "response", "convention", "-we",
     "an allocation is in the requested warehouse and has no sellable and no quantity beyond the request, "
     "and all of it where the order is allocated completely",
     "answer with the order as it stands after this request", _EXAMPLE),
    _equation("allocation-order", "order_id = id of the order", "give every allocation the id of its order"),
    _equation("payment-order", "payment.order_id = id of the order", "give the payment the id of its order"),
    _equation("available-stock", "available = physical - allocated", "derive available stock; it may be negative"),
    _equation("stock-totals", "physical, allocated and incoming of inventory = sums over stock_entries",
              "sum the stock entries anew after each change"),
    _equation("stock-copies", "the sellable's own stock levels = those of its inventory", "copy them from inventory"),
    _equation("stock-entry-sellable", "sellable_id = id of the sellable", "list each stock entry under its own sellable"),
    _equation("stock-entry-warehouse", "warehouse_id = warehouse.id", "show the warehouse that the stock entry names"),
    _equation("profit", "profit = price - cost_price", "derive profit; it may be negative"),
    _equation("margin", "margin = (price - cost_price) / price x 100", "derive margin as a percentage of the price"),
    _equation("on-hand-value", "value of stock = physical x cost_price, and their sum for the sellable",
              "value physical stock at cost price"),
    _equation("title-copies", "sellable_title = title and product_title = product.title", "copy the titles"),
    _equation("main-image-product", "main_image.product_id = id of the product", "show an image of this product"),
    _equation("subtotal", "subtotal_price = sum of quantity x price_per_unit - total_discounts",
              "sum the lines and take the discounts off"),
    _equation("total", "total_price = subtotal_price + total_tax + delivery_cost", "add tax and delivery to the subtotal"),
    _equation("completeness", "allocated_completely says whether each ordered sellable is allocated in full",
              "set it where allocated quantities reach ordered ones, for every sellable"),
    _equation("allocated-sellable", "what is allocated was ordered", "allocate only sellables of the order's own lines"),
    _equation("subscription-plan", "subscription_plan_id = subscription_plan.id", "show the plan that the id names"),
)  # fmt: skip

EQUATIONS = frozenset(row[0] for row in ROWS if row[6] == _ORDERS)
"""The rules whose words are an equation, to be shown beside the value that it asks for."""
