"""The bundled JSON Schemas and deviations, and OpenAPI."""
