"""The bundled JSON Schemas, and the OpenAPI document made from them."""
