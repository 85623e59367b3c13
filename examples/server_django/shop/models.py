"""Orders, their line items and allocations, and the stock of warehouses."""

from django.db import models


class Order(models.Model):
    """An order of a customer."""


class LineItem(models.Model):
    """The units of a sellable that an order asks for."""

    order = models.ForeignKey(Order, models.CASCADE, related_name="lines")
    sellable_id = models.BigIntegerField()
    quantity = models.PositiveIntegerField()


class Stock(models.Model):
    """The units of a sellable in a warehouse, and how many of them are allocated."""

    warehouse_id = models.BigIntegerField()
    sellable_id = models.BigIntegerField()
    physical = models.PositiveIntegerField()
    allocated = models.PositiveIntegerField(default=0)


class Allocation(models.Model):
    """Units that are reserved for an order, as JSON: pairs of a sellable id and a quantity."""

    order = models.ForeignKey(Order, models.CASCADE, related_name="allocations")
    warehouse_id = models.BigIntegerField()
    units = models.JSONField()
