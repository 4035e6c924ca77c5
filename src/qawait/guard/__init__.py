"""What outlives this process: the journal, the watchdog and the guardian."""
