"""The paths of the shop."""

from django.urls import path

from shop.views import allocate

urlpatterns = [path("orders/<int:order_id>/allocations", allocate)]
