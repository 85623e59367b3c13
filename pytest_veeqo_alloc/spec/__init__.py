"""The bundled specification: JSON Schemas, deviations and the OpenAPI document."""
