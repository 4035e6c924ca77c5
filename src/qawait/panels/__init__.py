"""Live panels of jobs, in a terminal and in a notebook."""
