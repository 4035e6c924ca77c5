"""The service's programs: what is sent to each, and what comes back."""
