"""The life of a job: knows no vendor and no HTTP."""
