"""The service's own JSON: circuits, arrays and results to bytes and back."""
